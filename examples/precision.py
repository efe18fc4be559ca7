"""Whether this machine computes as fast in a narrow type as the config hopes."""

import time

import tensorflow as tf

_LARGEST_RATIO = 1.5  # Hardware without a type is ten times slower in it; noise of so short a measurement is less.


def note(compute_dtype):
    """Returns a sentence for the user if networks are slower here in this type, or None, than in float32; else ""."""
    if compute_dtype is None or tf.config.list_logical_devices("TPU"):  # A TPU is no part of this machine.
        return ""
    ratio = _seconds(compute_dtype) / _seconds("float32")
    if ratio < _LARGEST_RATIO:
        return ""
    return (
        f"{compute_dtype} is {ratio:.0f} times slower than float32 on this hardware: stop, and train with "
        "--config.flow.compute_dtype=none"
    )


def _seconds(dtype):
    """Returns how long a convolution of one layer takes, its filters' gradient included."""
    images, filters = (tf.cast(tf.ones(shape), dtype) for shape in ([8, 32, 32, 32], [3, 3, 32, 32]))

    @tf.function
    def layer():
        with tf.GradientTape() as tape:
            tape.watch(filters)
            answer = tf.nn.conv2d(images, filters, 1, "SAME")
        return tf.cast(tf.reduce_sum(tape.gradient(answer, filters)) + answer[0, 0, 0, 0], tf.float32)

    layer().numpy()
    taken = []
    for _ in range(3):
        began = time.perf_counter()
        layer().numpy()
        taken.append(time.perf_counter() - began)
    return min(taken)
