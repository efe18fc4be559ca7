"""What all commands share: they take only flags, expand ~, keep the log quiet, and report an error in one line."""

import contextlib
import os
import sys
from collections.abc import Callable

from absl import app, flags, logging

flags.disclaim_key_flags()  # A flag that is defined here belongs to the module that asks for it.

# Errors whose messages are written for the user.
_USER_ERRORS = (FloatingPointError, ImportError, OSError, RuntimeError, TypeError, ValueError)
_HELP = "(--help lists all flags.)"


class _Path(flags.ArgumentParser):
    def __init__(self, remote):
        self._remote = remote

    def parse(self, argument):
        if "://" in argument and not self._remote:
            raise ValueError("must be on a file system of this machine")
        return os.path.expanduser(argument)  # Shells leave the ~ of --flag=~/x as it is.


def define_path(name, meaning, remote=False, required=False):
    """Defines a flag whose value is a path, by default None; with `remote` it may be gs:// or the like."""
    flags.DEFINE(_Path(remote), name, None, meaning, required=required)


def define_paths(name, meaning):
    """Defines a flag that may be given several times, for paths on this machine."""
    flags.DEFINE_multi(_Path(remote=False), flags.ArgumentSerializer(), name, [], meaning)


def run(main: Callable[[list[str]], None], arrange: Callable[[list[str]], list[str]] | None = None) -> None:
    """Runs a command; a wrong flag is an error of one line.

    Args:
      main: function of the arguments that are no flags, the first of which is the program.
      arrange: function that checks and returns the whole command line before it is parsed, see `examples.config_flag`.
    """
    app.run(main, flags_parser=lambda arguments: parse(arguments, arrange))


def parse(arguments, arrange=None):
    """Parses a command line, see `run`; returns the arguments that are no flags, and ends the program at an error."""
    try:
        return flags.FLAGS(arguments if arrange is None else arrange(arguments))
    except (flags.Error, ValueError) as error:
        sys.exit(f"error: {error} {_HELP}")


def begin(arguments, count=0, meaning=""):
    """Quietens the log, in which TensorFlow reports every save; ends the program for arguments that are no flags.

    Args:
      arguments: those of `main`.
      count: int, how many there must be; 0 for flags only.
      meaning: str, what they are, e.g. "one NAME".
    """
    if len(arguments) != count + 1:
        wanted = f"expected {meaning}, found" if count else "unexpected arguments"
        sys.exit(f"error: {wanted} {arguments[1:]}: flags are written --name=value. {_HELP}")
    logging.set_verbosity(logging.WARNING)


@contextlib.contextmanager
def errors_in_one_line(ctrl_c_message):
    """Ends the program at an error in the block with one line that reports it, and at Ctrl-C with `ctrl_c_message`."""
    import tensorflow as tf  # Commands that need it have imported it, and `examples.results` does without.

    try:
        yield
    except KeyboardInterrupt:
        print(ctrl_c_message, file=sys.stderr)
        sys.exit(130)
    except tf.errors.OpError as error:  # Its message has several lines.
        sys.exit(f"error: {' '.join(str(error).split())}")
    except _USER_ERRORS as error:
        sys.exit(f"error: {error}")
