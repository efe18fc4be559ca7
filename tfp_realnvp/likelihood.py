"""Likelihood in bits per dimension, of one draw of the noise and of several."""

import math
import operator
from typing import Any

import tensorflow as tf


def bits_per_dim(log_prob: Any, event_shape: Any) -> tf.Tensor:
    """Converts a log density of dequantised pixels to bits per dimension.

        bits/dim = -log_prob / (H * W * C * ln 2)

    For whole-numbered images x and noise u uniform in [0, 1), the mean of this value over u is an upper bound on the
    bits/dim of x under the discrete model P(x) = integral of p(x + u) du (Theis et al. 2016), and one draw of u
    estimates that bound without bias. For images that were not whole numbers it bounds nothing. `log_prob` must be a
    density of pixels in [0, levels); pixels that were scaled would need an offset.

    >>> round(float(bits_per_dim(-100.0, (8, 8, 1))), 3)
    2.254

    Args:
      log_prob: float tensor or number, nats.
      event_shape: (H, W, C), ints or int scalars of at least 1, a `tf.TensorShape`, or an int tensor.

    Returns:
      A tensor of the shape of `log_prob`, in bits/dim.

    Raises:
      ValueError: if `log_prob` is not floating point, or `event_shape` is no shape of images.
    """
    # The hint is for Python's ints; of an array it would change the type.
    log_prob = tf.convert_to_tensor(log_prob, dtype_hint=None if hasattr(log_prob, "dtype") else tf.float32)
    if not log_prob.dtype.is_floating:
        raise ValueError(
            f"`log_prob` of dtype {log_prob.dtype.name}: must be floating point, nats as `log_prob` of a distribution "
            "gives them; convert it by `tf.cast`."
        )
    return -log_prob / (tf.cast(_dimensions(event_shape), log_prob.dtype) * math.log(2.0))


def _dimensions(event_shape: Any) -> Any:
    """Returns H * W * C; raises ValueError unless `event_shape` holds them."""
    if tf.is_symbolic_tensor(event_shape):
        return tf.reduce_prod(event_shape)
    symbolic: list[Any] = []
    if isinstance(event_shape, list | tuple):
        symbolic = [size for size in event_shape if tf.is_symbolic_tensor(size)]
    try:
        sizes = [operator.index(size) for size in event_shape if not tf.is_symbolic_tensor(size)]
    except (TypeError, ValueError):  # ValueError: a shape of unknown rank.
        sizes, symbolic = [], []
    if not (sizes or symbolic) or min(sizes, default=1) < 1:
        raise ValueError(
            f"`event_shape`={event_shape}: must be (H, W, C), ints of at least 1; take `distribution.event_shape` or "
            "`images.shape[1:]`."
        )
    return math.prod(sizes) * tf.reduce_prod(tf.stack(symbolic)) if symbolic else math.prod(sizes)


def importance_weighted_bits_per_dim(log_prob: Any, event_shape: Any) -> tf.Tensor:
    """Bits per dimension of the mean density over M draws of the noise: a tighter bound than `bits_per_dim`.

        bits/dim = -log(mean_m exp(log_prob[m])) / (H * W * C * ln 2)

    For whole-numbered images x and M independent draws of noise uniform in [0, 1), the mean over draws of this value is
    an upper bound on the bits/dim of x under the discrete model P(x) = integral of p(x + u) du. The bound falls with M
    towards the bits/dim of P; with M = 1 it is that of `bits_per_dim`. It holds on average: a single value may lie
    below.

    Args:
      log_prob: float tensor [M, ...], nats, one row a draw. From a `FlowModel`, row m is
        -predict(x, draw=m) * H * W * C * ln 2.
      event_shape: as in `bits_per_dim`.

    Returns:
      A tensor [...], in bits/dim.

    Raises:
      ValueError: if `log_prob` is not floating point or has no draws, or `event_shape` is no shape of images.

    Reference: Burda et al. 2016, theorem 1; Theis et al. 2016, section 3.1.
    """
    log_prob = tf.convert_to_tensor(log_prob)
    if not log_prob.dtype.is_floating or log_prob.shape.rank == 0 or log_prob.shape[:1] == [0]:
        raise ValueError(
            f"`log_prob` of dtype {log_prob.dtype.name} and shape {log_prob.shape}: must be floating point, [M, ...] "
            "with M of at least 1 draws of the noise; join several by `tf.stack`."
        )
    draws = tf.cast(tf.shape(log_prob)[0], log_prob.dtype)
    return bits_per_dim(tf.reduce_logsumexp(log_prob, axis=0) - tf.math.log(draws), event_shape)
