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
        f"{meaning} Fields: {', '.join(fields())}.",
        sys_argv=_command_line,
        parse_fn=lambda name: config_lib.get(name),
    )
    flags.FLAGS["config"].default_as_str = repr(default)


def define_file():
    """Defines the flag as the commands have it that open a run, see `examples.settings.config_of`."""
    command.define_path("config", "File of the config, for a run whose config is a file of your own.")


def name():
    """Returns what the flag names: a config of this project, or the absolute path of a file."""
    named = config_flags.get_config_filename(flags.FLAGS["config"])
    return os.path.abspath(os.path.expanduser(named)) if config_lib.is_file(named) else named


def arrange(arguments, default):
    """Returns a command line with --config, the last if there are several, before its fields, wherever it was written.

    Raises:
      ValueError: for --config.FIELD or --noconfig.FIELD of a field that there is not.
    """
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
    _check_fields(arguments)
    _command_line[:] = arguments
    return arguments


def fields():
    """Returns the names of the fields that can be set."""
    own = [f.name for f in dataclasses.fields(config_lib.Config) if f.name not in (*_OF_THE_DATA, "flow")]
    return [*own, *(f"flow.{f.name}" for f in dataclasses.fields(config_lib.Flow))]


def _check_fields(arguments):
    known = fields()
    for argument in arguments[1:]:
        match = re.match(r"--?(?:no)?config\.([^=]*)", argument)
        if match is not None and match[1] not in known:
            close = "".join(f" Is it config.{name}?" for name in difflib.get_close_matches(match[1], known, 1))
            raise ValueError(f"--config.{match[1]}: no such field can be set.{close} There are {', '.join(known)}.")
