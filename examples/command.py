"""What commands have in common: they take flags alone, keep the log quiet, and tell an error in one line."""

import contextlib
import sys

import tensorflow as tf
from absl import app, logging

# What is raised for the user to read.
_MESSAGES = (FloatingPointError, ImportError, OSError, RuntimeError, TypeError, ValueError)


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
