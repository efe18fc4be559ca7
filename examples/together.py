"""What several workers do together, beside training: add up, agree, and end when one of them is lost."""

import contextlib
import functools
import json
import os
import subprocess
import sys
import time
import traceback
import zlib

import numpy as np
import tensorflow as tf

from examples.rendezvous import WorkerMissing
from examples.workers import START_AGAIN

_LINGER = 2.0  # seconds in which another worker may still read from this one
_MESSAGE = "error: {}; start all workers again: they go on from the newest checkpoint"
# What TensorFlow raises when a worker that it waits for has ended, hangs, or can't be reached.
_LOST = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
    tf.errors.UnavailableError,
    tf.errors.UnknownError,
)


@functools.cache  # One function for all sums, which is traced once.
def of_all(strategy, workers):
    """Returns the `Together` of a `tf.distribute` strategy and its `Workers`."""
    return Together(strategy, workers)


class Together:
    """Sums over all workers; each method is called by all of them, in the same order."""

    def __init__(self, strategy, workers):
        """Args: strategy: `tf.distribute` strategy of the `workers`, a `Workers`."""
        self._strategy, self._workers = strategy, workers
        # For arrays of any length, so that it is traced once.
        self._total = tf.function(self._sum, autograph=False, input_signature=[tf.TensorSpec([None], tf.float64)])

    def sum(self, array):
        """Returns the sum of the arrays of all workers, which have one shape, in float64."""
        array = np.asarray(array, np.float64)
        if not self._workers.several:
            return array
        total = self._strategy.experimental_local_results(self._total(tf.constant(array.ravel())))[0]
        return total.numpy().reshape(array.shape)

    def chiefs(self, value):
        """Returns the chief's number, a float, whatever those of the others are."""
        return float(self.sum(float(value) if self._workers.is_chief else 0.0))

    def check_alike(self, value, what):
        """Raises ValueError unless all workers have the same `value`, for JSON; `what` it is, for the message."""
        own = zlib.crc32(json.dumps(value, sort_keys=True).encode())
        if float(self.sum(float(own))) != own * len(self._workers.addresses):
            raise ValueError(
                f"worker {self._workers.index}: {what} differs from worker to worker, here {value}; give all of them "
                "the same files and versions."
            )

    def _sum(self, values):
        def in_replica(values):
            context = tf.distribute.get_replica_context()
            local = context.num_replicas_in_sync // len(self._workers.addresses)
            counts = context.replica_id_in_sync_group % local == 0  # A worker's other replicas have the same array.
            return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.where(counts, values, tf.zeros_like(values)))

        return self._strategy.run(in_replica, args=(values,))


@contextlib.contextmanager
def losing_workers(workers):
    """Ends this process with the exit code `START_AGAIN` if the block fails since a worker is missing or was lost."""
    try:
        yield
    except WorkerMissing as error:
        lost(str(error))
    except _LOST as error:
        if not workers.several:
            raise
        first = (str(error.message).strip().splitlines() or [""])[0]
        lost(f"another worker has ended, hangs, or can't be reached ({type(error).__name__}: {first[:200]})")


@contextlib.contextmanager
def ended(workers):
    """Ends this process after the block, if it is one of several workers, and with the code of a `SystemExit` in it.

    It ends at once, because TensorFlow would wait for the other workers at the end of the program. See
    `losing_workers`, too.
    """
    if not workers.several:
        yield
        return
    code: str | int | None = 0
    try:
        with losing_workers(workers):
            yield
        time.sleep(_LINGER)
    except SystemExit as end:
        code = end.code or 0
    except KeyboardInterrupt:
        code = 130
    except BaseException:  # As Python itself would, which then waits for the other workers.
        traceback.print_exc()
        code = 1
    if not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


# A process of its own, since TensorFlow holds Python's lock while it waits for the others, so that no thread gets on.
_WATCH = """
import os, signal, sys, time

seconds, watched, message = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
deadline = time.monotonic() + seconds
while time.monotonic() < deadline:
    time.sleep(0.2)
    if os.getppid() != watched:
        sys.exit()
print(message, file=sys.stderr, flush=True)
os.kill(watched, signal.SIGKILL)
"""


@contextlib.contextmanager
def within(seconds, what, workers):
    """Kills this process, after a word, if the block takes longer: TensorFlow may wait for ever, deaf to signals."""
    if not workers.several:
        yield
        return
    message = _MESSAGE.format(f"{what} took more than {seconds:g} s")
    watch = subprocess.Popen([sys.executable, "-I", "-S", "-c", _WATCH, str(seconds), str(os.getpid()), message])
    try:
        yield
    finally:
        watch.kill()
        watch.wait()


def lost(reason):
    """Ends this process at once, with the exit code `START_AGAIN`."""
    sys.stdout.flush()
    print(_MESSAGE.format(reason), file=sys.stderr, flush=True)
    os._exit(START_AGAIN)
