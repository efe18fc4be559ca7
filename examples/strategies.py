"""The `tf.distribute` strategies of training and evaluation, and the flags that choose one."""

import signal

import tensorflow as tf
from absl import flags

from examples import rendezvous, together
from examples import workers as workers_lib

FLAGS = flags.FLAGS
_START_SECONDS = 120.0  # that TensorFlow's servers may take after all workers have come
flags.disclaim_key_flags()  # A flag that is defined here belongs to the module that asks for it.


def define():
    """Defines --strategy, and the flags of single strategies."""
    flags.DEFINE_enum(
        "strategy",
        "default",
        ["default", "mirrored", "multi_worker", "tpu"],
        "tf.distribute strategy: mirrored takes all GPUs of this machine, multi_worker those of all workers that "
        "TF_CONFIG or Slurm names.",
    )
    flags.DEFINE_string("tpu", "", "Name or address of the TPU, for --strategy=tpu; local is that of this machine.")
    flags.DEFINE_float(
        "start_timeout", 600.0, "Seconds to wait for all workers, for --strategy=multi_worker.", lower_bound=1.0
    )


def workers():
    """Returns the `Workers` that train together, this process alone but for --strategy=multi_worker.

    Raises:
      ValueError: if the environment does not say who they are.
    """
    return workers_lib.find() if FLAGS.strategy == "multi_worker" else workers_lib.ALONE


def start(workers, started_with, begin_with):
    """Returns the strategy, as soon as all workers are there, and what they begin with.

    Args:
      workers, started_with, begin_with: see `rendezvous.meet`.

    Raises:
      WorkerMissing, ValueError, OSError: see `rendezvous.meet`; ValueError also if there is no such TPU.
    """
    if workers.source:
        print(workers, flush=True)
    told = rendezvous.meet(workers, started_with, begin_with, FLAGS.start_timeout)
    with together.within(min(FLAGS.start_timeout, _START_SECONDS), "the start of TensorFlow's workers", workers):
        return _make(workers), told


def _make(workers):
    if FLAGS.strategy == "mirrored":
        return tf.distribute.MirroredStrategy()
    if FLAGS.strategy == "multi_worker":
        # TensorFlow catches SIGTERM, and does nothing. One that comes now is delivered when Python has it again.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        try:
            return tf.distribute.MultiWorkerMirroredStrategy(workers.resolver)
        finally:
            signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    if FLAGS.strategy == "tpu":
        try:
            resolver = tf.distribute.cluster_resolver.TPUClusterResolver(FLAGS.tpu)
            tf.config.experimental_connect_to_cluster(resolver)
            tf.tpu.experimental.initialize_tpu_system(resolver)
        except (OSError, ValueError, tf.errors.OpError) as error:  # OSError: no such host.
            raise ValueError(
                f"`tpu`={FLAGS.tpu!r}: no such TPU ({error}); name one with --tpu, or use another --strategy."
            ) from error
        return tf.distribute.TPUStrategy(resolver)
    return tf.distribute.get_strategy()
