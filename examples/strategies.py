"""The `tf.distribute` strategies of training."""

import tensorflow as tf

NAMES = ("default", "mirrored", "tpu")


def make(name, tpu=""):
    """Returns a strategy.

    Args:
      name: one of `NAMES`; mirrored takes all GPUs of this machine.
      tpu: name or address of the TPU.

    Raises:
      ValueError: if there is no such TPU.
    """
    if name == "mirrored":
        return tf.distribute.MirroredStrategy()
    if name == "tpu":
        try:
            resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu)
            tf.config.experimental_connect_to_cluster(resolver)
            tf.tpu.experimental.initialize_tpu_system(resolver)
        except (OSError, ValueError, tf.errors.OpError) as error:  # OSError: no such host.
            raise ValueError(
                f"`tpu`={tpu!r}: no such TPU ({error}); name one with --tpu, or use another --strategy."
            ) from error
        return tf.distribute.TPUStrategy(resolver)
    return tf.distribute.get_strategy()
