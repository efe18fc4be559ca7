"""TensorFlow is imported without its notices, such as which instructions the processor has."""

import contextlib
import os
import pathlib
import re
import signal
import sys

# Lines of level I, and what is said before the first line.
_NOTICE = rb"I\d{4} |WARNING: All log messages before absl|To enable the following instructions"
# TensorFlow looks for a GPU by this call, and reports an error on every machine without one.
_NO_GPU = rb"|E\d{4} .*failed call to cuInit"
# What a machine with an NVIDIA GPU has: Linux itself, and Linux within Windows.
_DEVICES = ("/dev/nvidiactl", "/dev/dxg")


def import_tensorflow():
    """Imports TensorFlow, and lets it look for devices; its warnings and errors are shown, and its notices are not.

    The variable TF_CPP_MIN_LOG_LEVEL, which the user may set, holds for later lines. TensorFlow 2.21 ignores it for
    those that it writes while it is imported. Among several workers it is set so high that the end of one of them, of
    which TensorFlow writes pages, is the one line that the program itself prints.
    """
    several = "--strategy=multi_worker" in sys.orig_argv
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3" if several else "1")
    with lines_left_out(notices()):
        import tensorflow as tf

        tf.config.list_physical_devices()


def notices():
    """Returns the pattern of lines that tell a user nothing; without a GPU, they include that there is none."""
    return _NOTICE if any(pathlib.Path(device).exists() for device in _DEVICES) else _NOTICE + _NO_GPU


@contextlib.contextmanager
def lines_left_out(pattern):
    """Within the block, lines that match are left out of what is written to the file descriptor of stderr.

    A process of its own passes the others on, so that the last words of a program that crashes are shown, too. Where
    stderr is closed there is nothing to leave out.
    """
    if not hasattr(os, "fork") or not _stderr_is_open():
        yield
        return
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _pass_on(pattern, reading, writing)
    os.close(reading)
    stderr = os.dup(2)
    os.dup2(writing, 2)
    os.close(writing)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        with contextlib.suppress(ChildProcessError):  # Who ignores SIGCHLD has no children to wait for.
            os.waitpid(child, 0)


def _stderr_is_open():
    try:
        os.fstat(2)
    except OSError:
        return False
    return sys.__stderr__ is not None  # If it was closed at the start, another file may have got its number since.


def _pass_on(pattern, reading, writing):
    """Writes lines that do not match to stderr until the other end is closed, then ends this process."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # The program itself answers to Ctrl-C.
        os.close(writing)
        with open(reading, "rb") as lines:
            for line in lines:
                if not re.match(pattern, line):
                    # Nobody may read any more. The program would get an error, too, if this process ended for it.
                    with contextlib.suppress(OSError):
                        os.write(2, line)
    finally:
        os._exit(0)  # Whatever happens, this copy of the program must not go on with the caller's work.
