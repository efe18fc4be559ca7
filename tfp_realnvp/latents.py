"""Latents by scale, and paths between latents (paper, section 3.6, equation 19, appendix D).

Latents are float tensors [..., H, W, C], and results have their dtype. Arguments of another shape or type raise
ValueError or TypeError.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_realnvp.bijectors.squeeze import Squeeze
from tfp_realnvp.checks import (
    check_divisible,
    check_image_rank,
    check_input_type,
    check_int,
    check_number,
    check_seed,
)


def split_latents(latents: Any, num_scales: int) -> tuple[tf.Tensor, ...]:
    """Returns the latents of each scale; an image-shaped latent holds them by position.

        h(0) = latents;  h(i), z(i) = halves of the channels of ordered_squeeze(h(i - 1));  z(S) = h(S - 1)

    >>> [part.shape.as_list() for part in split_latents(tf.zeros([32, 32, 3]), num_scales=3)]
    [[16, 16, 6], [8, 8, 12], [8, 8, 12]]

    Args:
      latents: float tensor [..., H, W, C], as from `RealNVPImage.inverse`.
      num_scales: Python int S, that of the flow.

    Returns:
      A tuple of S tensors, z(1) to z(S): first the one that is factored out first, last the top level. Their shapes are
      [..., H/2, W/2, 2 C], [..., H/4, W/4, 4 C], ..., and, twice, [..., H/2^(S-1), W/2^(S-1), 2^(S-1) C].

    Reference: Dinh et al. 2017, section 3.6, equations 13 to 16.
    """
    check_int("num_scales", num_scales, 1, meaning="that of the flow, `flow.num_scales`")
    latents = _images("latents", latents)
    divisor = 2 ** (num_scales - 1)
    rule = (
        f"height and width must be divisible by 2 ** (num_scales - 1) = {divisor}; pass latents whole, and with their "
        f"own flow's `num_scales` in place of {num_scales}"
    )
    check_divisible("`latents`", latents.shape, (divisor, divisor, 1), rule)
    squeeze = Squeeze(ordered=True, validate_args=True)
    parts = []
    for _ in range(num_scales - 1):
        latents, factored_out = tf.split(squeeze.forward(latents), 2, axis=-1)
        parts.append(factored_out)
    return (*parts, latents)


def join_latents(parts: Sequence[Any]) -> tf.Tensor:
    """Returns the latents [..., H, W, C] of which `parts` are the scales: the inverse of `split_latents`, bit for bit.

    >>> latents = tf.random.normal([2, 8, 8, 1])
    >>> bool(tf.reduce_all(join_latents(split_latents(latents, num_scales=3)) == latents))
    True

    Args:
      parts: list or tuple of float tensors of one dtype, in the order and the shapes of `split_latents`.

    Reference: Dinh et al. 2017, section 3.6, equations 13 to 16.
    """
    if not isinstance(parts, list | tuple) or not parts:
        raise TypeError(f"`parts`={parts!r}: must be a list or tuple of tensors, one a scale, as of `split_latents`.")
    joined = _images(f"parts[{len(parts) - 1}]", parts[-1])
    squeeze = Squeeze(ordered=True)
    for i in reversed(range(len(parts) - 1)):
        part = _images(f"parts[{i}]", parts[i], joined.dtype)
        if not part.shape.is_compatible_with(joined.shape) or part.shape[-1] % 2:
            rule = f"must be {joined.shape} as what later parts join to, with even channels; pass all parts in order"
            raise ValueError(f"`parts[{i}]` of shape {part.shape}: {rule}, as `split_latents` gave them.")
        joined = squeeze.inverse(tf.concat([joined, part], axis=-1))
    return joined


def resample_latents(latents: Any, num_scales: int, kept: float, *, seed: Any, temperature: float = 1.0) -> tf.Tensor:
    """Keeps the top-level latents and draws the others from N(0, temperature^2): conceptual compression.

    The noise is a function of `seed` and of the shape of `latents`, whatever is kept: pictures of several fractions
    differ only by what they drop.

    >>> latents = tf.random.normal([2, 8, 8, 1])
    >>> quarter = resample_latents(latents, num_scales=4, kept=0.25, seed=(0, 1))
    >>> [bool(tf.reduce_all(a == b)) for a, b in zip(split_latents(quarter, 4), split_latents(latents, 4))]
    [False, False, True, True]

    Args:
      latents, num_scales: as in `split_latents`.
      kept: one of 1, 1/2, 1/4, ..., 2^-(S-1), the fraction of the latents to keep; 1 returns them all, to the bit.
      seed: two integers (tensor or sequence), for `tf.random.stateless_normal`.
      temperature: float of 0 or more, the noise's standard deviation; 0 fills with zeros.

    Reference: Dinh et al. 2017, appendix D, figures 22 to 26.
    """
    parts = split_latents(latents, num_scales)
    fractions = [0.5**i for i in range(num_scales)]
    check_number("kept", kept, lambda k: k in fractions, f"one of {fractions}, the fractions of {num_scales} scales")
    check_number("temperature", temperature, lambda t: t >= 0, "0 or more; it is the standard deviation of the noise")
    seed = check_seed(seed)
    latents = tf.convert_to_tensor(latents)
    # Philox: the default algorithm depends on the device, and on XLA.
    noise = tf.random.stateless_normal(tf.shape(latents), seed, stddev=temperature, dtype=latents.dtype, alg="philox")
    dropped = fractions.index(kept)
    return join_latents([*split_latents(tf.ensure_shape(noise, latents.shape), num_scales)[:dropped], *parts[dropped:]])


def manifold(latents: Any, angles: Any) -> tf.Tensor:
    """Combines 2^k latents by k angles, so that N(0, I) stays N(0, I): the weights' squares sum to 1.

        k = 2:  z = cos(p) (cos(q) z1 + sin(q) z2) + sin(p) (cos(q) z3 + sin(q) z4),  p, q = angles[..., 0], [..., 1]

    Any other k nests in the same way: the first angle weighs the first half of the latents against the second half.
    Angles of 0 give the first latent exactly. The other latents lie at multiples of pi/2, to the rounding of these.

    >>> examples, angle = tf.random.normal([4, 8, 8, 3]), tf.range(8.0) * np.pi / 4
    >>> manifold(examples, tf.stack(tf.meshgrid(angle, angle, indexing="ij"), -1)).shape
    TensorShape([8, 8, 8, 8, 3])

    Args:
      latents: float tensor [2^k, ..., H, W, C].
      angles: numbers [..., k], radians, whose leading axes broadcast against the batch between 2^k and H: [8, 8, 2]
        for a grid over latents [4, H, W, C], [8, 8, 1, 2] for N such grids over [4, N, H, W, C].

    Reference: Dinh et al. 2017, equation 19; three angles as on the project's page.
    """
    latents = _images("latents", latents)
    angles = tf.cast(tf.convert_to_tensor(angles, dtype_hint=latents.dtype), latents.dtype)
    k = angles.shape[-1] if angles.shape.rank else None
    if not k or latents.shape.rank < 4 or latents.shape[0] != 2**k:
        rule = "must be [2**k, ..., H, W, C] and [..., k], e.g. four latents and two angles; `tf.stack` what is missing"
        raise ValueError(f"`latents` of shape {latents.shape} and `angles` of shape {angles.shape}: {rule}.")
    _broadcast("angles", angles.shape[:-1], latents.shape[1:-3])
    weights = [tf.ones([], latents.dtype)]
    for angle in tf.unstack(angles[..., tf.newaxis, tf.newaxis, tf.newaxis], axis=-4):
        weights = [weight * factor for weight in weights for factor in (tf.cos(angle), tf.sin(angle))]
    # No matrix product: on GPUs its TF32 would round the latents.
    return sum(weight * z for weight, z in zip(weights, tf.unstack(latents), strict=True))


def interpolate_on_sphere(first: Any, second: Any, t: Any) -> tf.Tensor:
    """Goes from `first` (t = 0) to `second` (t = 1) along the great circle between their directions.

        z = |z| (sin((1 - t) w) first / |first| + sin(t w) second / |second|) / sin(w),  w the angle between them
        |z| = (1 - t) |first| + t |second|,  over H, W and C

    A straight line would pass through latents of much smaller norm than N(0, I) gives. It is taken nevertheless where
    no single circle exists: between parallel or opposite directions, and if one end is 0. Both ends are exact.

    >>> interpolate_on_sphere(3 * tf.eye(2)[:1, tf.newaxis], 3 * tf.eye(2)[1:, tf.newaxis], 0.5).numpy().round(3)
    array([[[2.121, 2.121]]], dtype=float32)

    Args:
      first, second: float tensors [..., H, W, C] of one dtype, whose batches broadcast.
      t: numbers that broadcast against the batch, [T] for one pair, [T, 1] for N pairs; usually in [0, 1].

    Reference: Shoemake 1985, Animating rotation with quaternion curves; White 2016, arXiv 1609.04468.
    """
    first = _images("first", first)
    second = _images("second", second, first.dtype)
    if not first.shape[-3:].is_compatible_with(second.shape[-3:]):
        raise ValueError(f"`second` of shape {second.shape}: must end as `first`, in {first.shape[-3:]}; crop images.")
    t = tf.cast(tf.convert_to_tensor(t, dtype_hint=first.dtype), first.dtype)
    _broadcast("t", t.shape, _broadcast("second", second.shape[:-3], first.shape[:-3]))
    t = t[..., tf.newaxis, tf.newaxis, tf.newaxis]
    norms = _norm(first), _norm(second)
    directed = (norms[0] > 0) & (norms[1] > 0)
    norms = tf.where(directed, norms[0], 1), tf.where(directed, norms[1], 1)
    a, b = first / norms[0], second / norms[1]
    angle = 2 * tf.atan2(_norm(a - b), tf.where(directed, _norm(a + b), 1))  # An arc cosine would lose small angles.
    circle = directed & (tf.sin(angle) > np.finfo(first.dtype.as_numpy_dtype).eps ** 0.5)
    sine = tf.where(circle, tf.sin(angle), 1)

    def weight(t: tf.Tensor, own: int) -> tf.Tensor:
        on_circle = ((1 - t) * norms[1 - own] / norms[own] + t) * tf.sin(t * angle) / sine
        return tf.where(circle & (t != 0) & (t != 1), on_circle, t)

    return weight(1 - t, 0) * first + weight(t, 1) * second


def _norm(x: tf.Tensor) -> tf.Tensor:
    """Returns the norm [..., 1, 1, 1] of each image; its gradient at 0 is 0."""
    square = tf.reduce_sum(x * x, axis=[-3, -2, -1], keepdims=True)
    return tf.where(square > 0, tf.sqrt(tf.where(square > 0, square, 1)), 0)


def _images(argument: str, value: Any, dtype: tf.DType | None = None) -> tf.Tensor:
    """Returns `value` as a float tensor [..., H, W, C], of `dtype` if that is given."""
    value = tf.convert_to_tensor(value, dtype_hint=dtype)
    check_input_type(argument, value, None)
    if dtype not in (None, value.dtype):
        raise TypeError(f"`{argument}` has dtype {value.dtype.name}: must be {dtype.name} as the rest; use `tf.cast`.")
    check_image_rank(f"`{argument}`", value.shape)
    return value


def _broadcast(argument: str, shape: tf.TensorShape, batch: tf.TensorShape) -> tf.TensorShape:
    """Returns the shape that both broadcast to."""
    try:
        return tf.broadcast_static_shape(shape, batch)
    except ValueError as error:
        rule = f"must broadcast against the latents' batch {batch}; add axes of size 1, e.g. [T, 1] for T steps of N"
        raise ValueError(f"`{argument}` of leading shape {shape}: {rule}.") from error
