"""What commands have in common: they take flags alone, know ~, keep the log quiet, and tell an error in one line."""

import contextlib
import os
import sys

import tensorflow as tf
from absl import app, flags, logging

flags.disclaim_key_flags()  # Those that are defined here are of the modules that ask for them.

# What is raised for the user to read.
_MESSAGES = (FloatingPointError, ImportError, OSError, RuntimeError, TypeError, ValueError)


class _Path(flags.ArgumentParser):
    def __init__(self, remote):
        self._remote = remote

    def parse(self, argument):
        if "://" in argument and not self._remote:
            raise ValueError("must be on a file system of this machine")
        return os.path.expanduser(argument)  # Shells leave the ~ of --flag=~/x as it is.


def define_path(name, meaning, remote=False, required=False):
    """Defines a flag whose value is a path, by default none; `remote`: gs:// and the like will do."""
    flags.DEFINE(_Path(remote), name, None, meaning, required=required)


def define_paths(name, meaning):
    """Defines a flag that may be given several times, for paths on this machine."""
    flags.DEFINE_multi(_Path(remote=False), flags.ArgumentSerializer(), name, [], meaning)


def begin(argv):
    """Refuses what the flags have left of the arguments; quietens the log, as TensorFlow reports every save."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments {argv[1:]}; flags are written --name=value.")
    logging.set_verbosity(logging.WARNING)


@contextlib.contextmanager
def errors_in_one_line(stopped):
    """Ends the program at an error in the block, with a line that tells it; at Ctrl-C with the line `stopped`."""
    try:
        yield
    except KeyboardInterrupt:
        print(stopped, file=sys.stderr)
        sys.exit(130)
    except tf.errors.OpError as error:  # Of several lines.
        sys.exit(f"error: {' '.join(str(error).split())}")
    except _MESSAGES as error:
        sys.exit(f"error: {error}")
