"""Conversion between images of whole numbers and the real pixels of a flow (paper, section 4.1)."""

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.checks import check_levels, check_seed


def dequantize(images: Any, levels: int = 256, *, seed: Any, first_row: Any = 0, rows: Any = None) -> tf.Tensor:
    """Returns float32 pixels in [0, levels): `images` plus uniform noise in [0, 1).

    Args:
      images: tensor [N, ...] of whole numbers in [0, levels), any dtype.
      levels: Python int.
      seed: two integers (tensor or sequence), for `tf.random.stateless_uniform`.
      first_row: int or tensor. If `images` are a part of a larger batch of `rows` images, this is the place of their
        first one; they then get their part of the larger batch's noise. Replicas of a strategy so draw together what
        one device would draw alone.
      rows: the size of that larger batch; default N.

    Raises:
      ValueError, TypeError: for images that are no numbers, a seed that is not two integers, or wrong levels.
    """
    check_levels(levels)
    images, seed = tf.convert_to_tensor(images), check_seed(seed)
    if not (images.dtype.is_integer or images.dtype.is_floating):
        raise TypeError(f"`images` has dtype {images.dtype.name}: must be whole numbers; convert them, e.g. to uint8.")
    images = tf.cast(images, tf.float32)
    shape = tf.shape(images)
    if rows is None:
        noise = tf.random.stateless_uniform(shape, seed)
    else:
        noise = tf.random.stateless_uniform(tf.concat([[rows], shape[1:]], 0), seed)
        noise = noise[first_row : first_row + shape[0]]
    # 255 + u rounds to 256 for u next to 1.
    return tf.minimum(images + noise, np.nextafter(np.float32(levels), np.float32(0)))


def quantize(pixels: Any, levels: int = 256) -> tf.Tensor:
    """Returns the whole numbers below real `pixels`, clipped to [0, levels - 1].

    Args:
      pixels: float tensor of any shape.
      levels: Python int.

    Returns:
      A tensor of the same shape, uint8, or uint16 above 256 levels.

    Raises:
      TypeError: if `pixels` are whole numbers already.
    """
    check_levels(levels)
    pixels = tf.convert_to_tensor(pixels)
    if not pixels.dtype.is_floating:
        raise TypeError(
            f"`pixels` has dtype {pixels.dtype.name}: must be real numbers, e.g. samples of a flow; whole numbers need "
            "no `quantize`."
        )
    pixels = tf.clip_by_value(tf.floor(pixels), 0.0, levels - 1.0)
    return tf.cast(pixels, tf.uint8 if levels <= 256 else tf.uint16)


def levels_of(distribution: tfp.distributions.Distribution, levels: int | None = None) -> int:
    """Returns how many values a pixel of `distribution` can have.

    Those bijectors and distributions in it that have an int attribute `levels`, as `PixelLogit`, say so.

    Args:
      distribution: any `tfd.Distribution` over images.
      levels: Python int, what the user says. Default: what the parts say, or 256 if none says anything.

    Raises:
      ValueError: for wrong levels, or if the user and the parts, or the parts among themselves, disagree.
    """
    if levels is not None:
        check_levels(levels)
    kinds = (tfp.distributions.Distribution, tfp.bijectors.Bijector)  # A network may have `levels` of its own.
    known: dict[int, str] = {}
    for part in (distribution, *distribution.submodules):
        value = getattr(part, "levels", None) if isinstance(part, kinds) else None
        if isinstance(value, int):
            known.setdefault(value, part.name)
    if len(known) > 1:
        found = " and ".join(f"`levels`={value} in {name!r}" for value, name in known.items())
        raise ValueError(
            f"`distribution` has {found}: all parts must have the same; build them with the same `levels`."
        )
    if not known:
        return 256 if levels is None else levels
    [(value, name)] = known.items()
    if levels not in (None, value):
        raise ValueError(
            f"`levels`={levels}: must be that of the distribution, whose {name!r} has `levels`={value}; leave "
            f"`levels` out, or build the flow with `levels={levels}`."
        )
    return value
