"""Checks of arguments. Each raises an error that names the argument, its value, the rule and the remedy."""

import math
import numbers
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp


def check_int(argument: str, value: Any, least: int, most: int | None = None, meaning: str = "") -> None:
    """Raises ValueError unless `value` is a Python int in [least, most]; `meaning` tells the user what it is."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least or (most is not None and value > most):
        bounds = f"of at least {least}" if most is None else f"in [{least}, {most}]"
        raise ValueError(f"`{argument}`={value!r}: must be a Python int {bounds}{meaning and ', '}{meaning}.")


def check_number(argument: str, value: Any, accepts: Callable[[Any], bool], rule: str) -> None:
    """Raises ValueError unless `value` is a finite real number that `accepts` accepts; `rule` says which those are."""
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not real or not math.isfinite(value) or not accepts(value):
        raise ValueError(f"`{argument}`={value!r}: must be {rule}.")


def check_bool(argument: str, value: Any) -> None:
    """Raises TypeError unless `value` is a Python bool, since a string such as "no" would count as true."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"`{argument}`={value!r}: must be a Python bool; write {argument}=True or {argument}=False.")


def check_levels(levels: Any) -> None:
    """Raises ValueError unless `levels` is an int in [2, 65536]: float32 has no room for noise on finer pixels."""
    check_int("levels", levels, 2, 65536, "the number of values of a pixel, e.g. 256 for 8 bits")


def check_seed(seed: Any, rule: str = "two integers, e.g. (0, step)") -> tf.Tensor:
    """Returns the `seed` of a stateless random number as a tensor; raises ValueError unless it is two integers."""
    try:
        pair = tf.convert_to_tensor(seed if seed is not None else ())
    except (TypeError, ValueError):  # Such as numbers beside text, or of more than 64 bits.
        pair = tf.zeros([0])
    if not (pair.dtype.is_integer and pair.shape.is_compatible_with([2])):
        raise ValueError(f"`seed`={seed!r}: must be {rule}; another one gives other noise.")
    return pair


def check_float_type(argument: str, dtype: Any) -> None:
    """Raises TypeError unless `dtype` is a floating point type."""
    try:
        floating = tf.as_dtype(dtype).is_floating
    except TypeError:
        floating = False
    if not floating:
        raise TypeError(f"`{argument}`={dtype!r}: must be a floating point type, e.g. tf.float32.")


def check_input_type(argument: str, value: Any, dtype: tf.DType | None) -> None:
    """Raises TypeError if `value` holds whole numbers, or is a tensor of another type than `dtype`.

    Args:
      argument: the name in the message.
      value: what the user passed. TensorFlow converts what has no dtype.
      dtype: the bijector's dtype, or None if any floating point type will do.
    """
    if not hasattr(value, "dtype"):
        return
    theirs = tf.as_dtype(value.dtype)
    if not theirs.is_floating:
        raise TypeError(
            f"`{argument}` has dtype {theirs.name}: must be floating point, since a flow has a density of continuous "
            "values; pass images through `dequantize`, anything else through `tf.cast`."
        )
    if dtype is not None and tf.is_tensor(value) and theirs != dtype:
        raise TypeError(
            f"`{argument}` has dtype {theirs.name}: must be the bijector's, {dtype.name}; use `tf.cast`, or build the "
            f"bijector with `dtype=tf.{theirs.name}`."
        )


def check_image_rank(what: str, shape: tf.TensorShape) -> None:
    """Raises ValueError unless `shape` is [..., H, W, C] with known rank and C; `what` begins the message."""
    if shape.rank is None or shape.rank < 3 or shape[-1] is None:
        raise ValueError(
            f"{what} of shape {shape}: must be [..., H, W, C] with known rank and channels; set them with "
            "`tf.ensure_shape`."
        )


def check_event_rank(what: str, shape: tf.TensorShape) -> None:
    """Raises ValueError if `shape` is known to be of fewer axes than [H, W, C]; `what` begins the message."""
    if shape.rank is not None and shape.rank < 3:
        raise ValueError(
            f"{what} of shape {shape}: must be [..., H, W, C]; give the base distribution the shape of an image, e.g. "
            "by tfd.Sample or tfd.Independent."
        )


def check_channels(what: str, shape: tf.TensorShape, channels: int) -> None:
    """Raises ValueError unless the last axis of `shape` has the size `channels`, or an unknown one."""
    if shape[-1] not in (None, channels):
        raise ValueError(
            f"{what} of shape {shape}: the last axis must be `channels`={channels}; convert the images, or build the "
            "flow for their channels."
        )


def check_divisible(what: str, shape: tf.TensorShape, divisors: Sequence[int], rule: str) -> None:
    """Raises ValueError, with `rule`, unless the known sizes among H, W and C are multiples of their `divisors`."""
    sizes = shape[-3:].as_list()
    if any(size is not None and size % divisor for size, divisor in zip(sizes, divisors, strict=True)):
        raise ValueError(f"{what} of shape {shape}: {rule}.")


def check_distribution(distribution: Any) -> None:
    """Raises TypeError or ValueError unless `distribution` is one over images of a static shape [H, W, C]."""
    if not isinstance(distribution, tfp.distributions.Distribution):
        raise TypeError(
            f"`distribution`={distribution!r}: must be a tfd.Distribution over images, e.g. a "
            "tfd.TransformedDistribution of a prior and a RealNVPImage; of a `FlowModel` pass `model.distribution`."
        )
    if distribution.event_shape.rank != 3 or not distribution.event_shape.is_fully_defined():
        raise ValueError(
            f"`distribution` has event shape {distribution.event_shape}: must be a static [H, W, C]; give the base "
            "distribution the shape of an image."
        )
    if not distribution.batch_shape.is_compatible_with([]):
        raise ValueError(
            f"`distribution` has batch shape {distribution.batch_shape}: must be one distribution, of batch shape "
            "[]; move these axes into the event by tfd.Independent, or train each by itself."
        )


def check_finite(variables: Iterable[tf.Variable]) -> None:
    """Raises ValueError if one of a distribution's variables, or of their averages, holds a NaN or an infinity."""
    for v in variables:
        if v.dtype.is_floating and not tf.reduce_all(tf.math.is_finite(v)):
            raise ValueError(
                f"`distribution`: its variable {v.name!r} holds values that are not finite; go back to sound weights, "
                "e.g. the last checkpoint."
            )


def check_not_keras_3(argument: str, value: Any) -> None:
    """Raises TypeError if `value` is of Keras 3, as `tf.keras` is: TFP and tf_keras see none of its variables."""
    if any(base.__module__.partition(".")[0] == "keras" for base in type(value).__mro__):
        raise TypeError(
            f"`{argument}`={value!r}: is of Keras 3, as `tf.keras` is since TensorFlow 2.16, and this package is built "
            "on tf_keras; take the same name from `tf_keras`, or train under Keras 3 by `tfp_realnvp.keras3`, see "
            "README.md: its `FlowModel` takes what is of Keras 3, and its `Network(layer)` is a conditioner."
        )
