"""TensorFlow is imported without its notices, such as which instructions the processor has."""

import contextlib
import os
import pathlib
import re
import signal

# Lines of level I, and what is said before the first line.
_NOTICE = rb"I\d{4} |WARNING: All log messages before absl|To enable the following instructions"
# TensorFlow looks for a GPU by this call, and reports an error on every machine without one.
_NO_GPU = rb"|E\d{4} .*failed call to cuInit"
_NVIDIA = pathlib.Path("/dev/nvidiactl")


def import_tensorflow():
    """Imports TensorFlow, and lets it look for devices; its warnings and errors are shown, and its notices are not.

    The variable TF_CPP_MIN_LOG_LEVEL, which the user may set, holds for later lines. TensorFlow 2.21 ignores it for
    those that it writes while it is imported.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    with _lines_left_out(_NOTICE if _NVIDIA.exists() else _NOTICE + _NO_GPU):
        import tensorflow as tf

        tf.config.list_physical_devices()


@contextlib.contextmanager
def _lines_left_out(pattern):
    """Within the block, lines that match are left out of what is written to the file descriptor of stderr.

    A process of its own passes the others on, so that the last words of a program that crashes are shown, too.
    """
    if not hasattr(os, "fork"):
        yield
        return
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # The program itself answers to Ctrl-C.
        os.close(writing)
        with open(reading, "rb") as lines:
            for line in lines:
                if not re.match(pattern, line):
                    os.write(2, line)
        os._exit(0)
    os.close(reading)
    stderr = os.dup(2)
    os.dup2(writing, 2)
    os.close(writing)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.waitpid(child, 0)
