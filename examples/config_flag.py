"""The flag --config, and --config.FIELD for every field of a config."""

import dataclasses
import difflib
import os
import re

from absl import flags
from ml_collections import config_flags

from examples import command
from examples import config as config_lib

flags.disclaim_key_flags()  # A flag that is defined here belongs to the module that asks for it.

# What only says what the data are.
_OF_THE_DATA = ("load", "image_shape", "levels")
# The command line that is being parsed, in which the flag looks for fields.
_command_line: list[str] = []


class _OrNone(flags.ArgumentParser):
    """A value, or none, which `Config.check` and `RealNVPImage` refuse for fields that must have one."""

    def __init__(self, parser):
        self._parser = parser

    def parse(self, argument):
        return None if argument in (None, "none", "None") else self._parser.parse(argument)


for _type, _parser in {
    int: flags.IntegerParser(),
    float: flags.FloatParser(),
    bool: flags.BooleanParser(),
    str: flags.ArgumentParser(),
}.items():
    config_flags.register_flag_parser_for_type(_type, _OrNone(_parser))


def define(default, meaning):
    """Defines the flag, whose value is a `Config`.

    Args:
      default: str, name of the config if the command line names none; `arrange` needs it again.
      meaning: str, for --help.
    """
    config_flags.DEFINE_config_dataclass(
        "config",
        config_lib.get(default),
        f"{meaning} Fields: {', '.join(fields(config_lib.get(default)))}.",
        sys_argv=_command_line,
        parse_fn=_get,
    )
    flags.FLAGS["config"].default_as_str = repr(default)


def define_run(several=None):
    """Defines the flags by which a command opens a run: `open_run(directory, **of_run())`.

    Args:
      several: str, for what --run may be given more than once; None if it is given once, and must be.
    """
    meaning = "Directory of a run of examples.train, or of its export"
    if several:
        command.define_paths("run", f"{meaning}; {several}.")
    else:
        command.define_path("run", f"{meaning}.", required=True)
    command.define_path("config", "File of the config, for a run whose config is a file of your own.")
    default = "Default: that of the training"
    command.define_path(
        "data_dir", f"Directory of prepared TFDS data sets. {default}; of an export, TFDS's.", remote=True
    )
    command.define_path("folder", f"Directory of pictures, for --config=folder. {default}; an export has none.")


def of_run():
    """Returns what the flags of `define_run` say beside --run, as keywords of `examples.experiment.open_run`."""
    values = flags.FLAGS
    return {"data_dir": values.data_dir, "folder": values.folder, "config_file": values.config}


def name():
    """Returns what the flag names: a config of this project, or the absolute path of a file."""
    named = config_flags.get_config_filename(flags.FLAGS["config"])
    return os.path.abspath(os.path.expanduser(named)) if config_lib.is_file(named) else named


def arrange(arguments, default):
    """Returns a command line with --config, the last if there are several, before its fields, wherever it stood."""
    program, *rest = arguments
    config, others = f"--config={default}", []
    rest = iter(flags.FLAGS.read_flags_from_files(rest))
    for argument in rest:
        if re.match("--?config$", argument):  # --config NAME is two arguments.
            config = f"--config={next(rest, '')}"
        elif re.match("--?config=", argument):
            config = argument
        else:
            others.append(argument)
    arguments = [program, config, *others]
    _command_line[:] = arguments
    return arguments


def fields(config):
    """Returns the names of the fields of a config that can be set."""
    own = [f.name for f in dataclasses.fields(config_lib.Config) if f.name not in (*_OF_THE_DATA, "flow")]
    return [*own, *(f"flow.{f.name}" for f in dataclasses.fields(config.flow))]


def _get(name):
    """Returns the config; raises ValueError if the command line has a --config.FIELD of a field that it lacks."""
    config = config_lib.get(name)
    known = fields(config)
    for argument in _command_line[1:]:
        match = re.match(r"--?(?:no)?config\.([^=]*)", argument)
        if match is not None and match[1] not in known:
            close = "".join(f" Is it config.{name}?" for name in difflib.get_close_matches(match[1], known, 1))
            listed = ", ".join(known)
            raise ValueError(f"--config.{match[1]}: no such field can be set.{close} There are {listed}.")
    return config
