"""What all commands share: they take only flags, expand ~, keep the log quiet, and report an error in one line."""

import contextlib
import os
import sys

import tensorflow as tf
from absl import app, flags, logging

flags.disclaim_key_flags()  # A flag that is defined here belongs to the module that asks for it.

# Errors whose messages are written for the user.
_USER_ERRORS = (FloatingPointError, ImportError, OSError, RuntimeError, TypeError, ValueError)


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


def begin(argv):
    """Raises UsageError for arguments that are no flags; quietens the log, in which TensorFlow reports every save."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments {argv[1:]}; flags are written --name=value.")
    logging.set_verbosity(logging.WARNING)


@contextlib.contextmanager
def errors_in_one_line(ctrl_c_message):
    """Ends the program at an error in the block with one line that reports it, and at Ctrl-C with `ctrl_c_message`."""
    try:
        yield
    except KeyboardInterrupt:
        print(ctrl_c_message, file=sys.stderr)
        sys.exit(130)
    except tf.errors.OpError as error:  # Its message has several lines.
        sys.exit(f"error: {' '.join(str(error).split())}")
    except _USER_ERRORS as error:
        sys.exit(f"error: {error}")
