"""Units of likelihood."""

import math

import tensorflow as tf


def bits_per_dim(log_prob, event_shape):
    """Converts a log density of dequantised pixels to bits per dimension.

        bits/dim = -log_prob / (H * W * C * ln 2)

    What it bounds: for whole-numbered images x and noise u uniform in [0, 1), the mean of this value over u is an
    upper bound on the bits/dim of x under the discrete model P(x) = integral of p(x + u) du (Theis et al. 2016); one
    draw of u estimates that bound without bias. It bounds nothing for images that were not whole numbers, and is no
    rate for pixels that were scaled: `log_prob` must be a density over [0, levels), of which levels = 256 needs no
    further offset.

    Args:
      log_prob: float tensor, nats.
      event_shape: (H, W, C), Python ints, a `tf.TensorShape`, or an int tensor.

    Returns:
      A tensor of the shape of `log_prob`, in bits/dim.
    """
    if isinstance(event_shape, tf.Tensor):
        dimensions = tf.cast(tf.reduce_prod(event_shape), log_prob.dtype)
    else:
        dimensions = tf.cast(math.prod(tuple(event_shape)), log_prob.dtype)
    return -log_prob / (dimensions * math.log(2.0))
