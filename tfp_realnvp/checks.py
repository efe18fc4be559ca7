"""Checks of arguments, and of image data before any long work starts."""

import math
import numbers

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp


def check_int(argument, value, least, most=None, meaning=""):
    """Raises if `value` is no Python int in [least, most]; `meaning`: what it is, for the message."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least or (most is not None and value > most):
        bounds = f"of at least {least}" if most is None else f"in [{least}, {most}]"
        raise ValueError(f"`{argument}`={value!r}: must be a Python int {bounds}{meaning and ', '}{meaning}.")


def check_number(argument, value, accepts, rule):
    """Raises if `value` is no real number for which the predicate `accepts` holds; `rule` says it in words."""
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not real or not math.isfinite(value) or not accepts(value):
        raise ValueError(f"`{argument}`={value!r}: must be {rule}.")


def check_bool(argument, value):
    """Raises if `value` is no Python bool: "no" would count as true."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"`{argument}`={value!r}: must be a Python bool; write {argument}=True or {argument}=False.")


def check_seed(seed):
    """Returns the `seed` of a stateless random number as a tensor; raises if it isn't two integers."""
    seed = tf.convert_to_tensor(seed if seed is not None else ())
    if not (seed.dtype.is_integer and seed.shape.is_compatible_with([2])):
        raise ValueError(f"`seed`={seed!r}: must be two integers, e.g. (0, step); another pair gives other noise.")
    return seed


def check_distribution(distribution):
    """Raises if `distribution` isn't one over images of a static shape [H, W, C]."""
    if not isinstance(distribution, tfp.distributions.Distribution):
        raise TypeError(
            f"`distribution`={distribution!r}: must be a tfd.Distribution over images, e.g. a "
            "tfd.TransformedDistribution of a prior and a RealNVPImage."
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


def check_finite(distribution):
    """Raises if a variable of the distribution holds a NaN or an infinity."""
    for v in distribution.variables:
        if v.dtype.is_floating and not tf.reduce_all(tf.math.is_finite(v)):
            raise ValueError(
                f"`distribution`: its variable {v.name!r} holds values that are not finite; go back to sound weights, "
                "e.g. the last checkpoint."
            )


def check_not_keras_3(argument, value):
    """Raises if `value` is an object of Keras 3, which `tf.keras` is: TFP and tf_keras see none of its variables."""
    if any(base.__module__.partition(".")[0] == "keras" for base in type(value).__mro__):
        raise TypeError(
            f"`{argument}`={value!r}: is of Keras 3, as `tf.keras` is since TensorFlow 2.16, and this package is built "
            "on tf_keras; take the same name from `tf_keras`, or set the environment variable TF_USE_LEGACY_KERAS=1 "
            "before TensorFlow is imported."
        )


def check_float_type(argument, dtype):
    """Raises if `dtype` is no floating point type."""
    try:
        floating = tf.as_dtype(dtype).is_floating
    except TypeError:
        floating = False
    if not floating:
        raise TypeError(f"`{argument}`={dtype!r}: must be a floating point type, e.g. tf.float32.")


def check_input_type(argument, value, dtype):
    """Raises if `value` is an array or tensor of whole numbers, or a tensor of another type than `dtype`.

    Args:
      argument: for the message.
      value: what the user passed; anything without a dtype is left to TensorFlow's conversion.
      dtype: of the bijector, or None for any floating point type.
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


def check_data(argument, data, event_shape, levels, whole=True):
    """Raises if `data` are not images that a model of `event_shape` and `levels` can take.

    Args:
      argument: name of the argument, for messages.
      data: what Keras' `fit` takes as x: array, tensor, or `tf.data.Dataset` (of which the first batch is looked at).
      event_shape: (H, W, C).
      levels: Python int; pixels must lie in [0, levels).
      whole: Python bool; pixels must be whole numbers, since noise in [0, 1) will be added to them.

    Raises:
      TypeError: for something else than numbers.
      ValueError: for a wrong shape or values out of range.
    """
    if data is None or isinstance(data, list | tuple | dict | str | numbers.Number):
        raise TypeError(
            f"`{argument}` is of type {type(data).__name__}: must be an array or tensor [N, H, W, C] or a "
            "`tf.data.Dataset`; convert a list with `np.stack`, and pass conditioning as `y`."
        )
    if isinstance(data, tf.data.Dataset):
        spec = data.element_spec
        spec = spec[0] if isinstance(spec, tuple) else spec
        if not isinstance(spec, tf.TensorSpec):
            raise TypeError(
                f"`{argument}` has elements {data.element_spec}: must be images or (images, conditioning); "
                "map the dataset to these."
            )
        _check_form(argument, spec.shape, spec.dtype, event_shape)
        first = next(iter(data.take(1)), None)
        if first is None:
            raise ValueError(f"`{argument}` is an empty dataset: it needs at least one batch of images.")
        _check_values(argument, first[0] if isinstance(first, tuple) else first, levels, whole)
    elif hasattr(data, "shape") and hasattr(data, "dtype"):
        try:
            dtype = tf.as_dtype(data.dtype)
        except TypeError as error:
            raise TypeError(
                f"`{argument}` has dtype {data.dtype}: must be an integer or float type; convert it, e.g. to uint8."
            ) from error
        _check_form(argument, tf.TensorShape(data.shape), dtype, event_shape)
        if not data.shape[0]:
            raise ValueError(f"`{argument}` of shape {tuple(data.shape)} is empty: it needs at least one image.")
        _check_values(argument, data, levels, whole)
    # Anything else (generators, Sequences, distributed datasets) can't be looked at without using it up.


def check_conditioning(argument, data, y, sizes, takes_any):
    """Raises if the data come without the conditioning that a flow needs, or with some that it can't take.

    Args:
      argument: name of the argument, for messages.
      data: as in `check_data`.
      y: conditioning that was passed apart from `data`, or None.
      sizes: set of the `conditioning_size` of the flow's networks.
      takes_any: Python bool; whether anything in the distribution could take conditioning.
    """
    if isinstance(data, tf.data.Dataset):
        spec = data.element_spec
        second = spec[1] if isinstance(spec, tuple) and len(spec) > 1 else None
        y = second if isinstance(second, tf.TensorSpec) else None  # Or the spec of a None, before sample weights.
    elif not (hasattr(data, "shape") and hasattr(data, "dtype")):
        return
    size = next(iter(sizes - {None}), None)
    if y is None:
        if size is not None:
            raise ValueError(
                f"`{argument}` comes with conditioning None: the flow was built with `conditioning_size`={size}; pass "
                f"[N, {size}] as `y`, or a `tf.data.Dataset` of pairs (images, conditioning)."
            )
        return
    shape = tf.TensorShape(getattr(y, "shape", None))
    if not takes_any or sizes == {None}:
        raise ValueError(
            f"`{argument}` comes with conditioning (or labels) of shape {shape}, but the distribution takes no "
            "conditioning; pass images alone, or build the flow with `conditioning_size`."
        )
    if size is not None and not shape.is_compatible_with([None, size]):
        raise ValueError(
            f"`{argument}` comes with conditioning of shape {shape}: must be [N, {size}], the flow's "
            "`conditioning_size`; classes go in as one-hot vectors."
        )


def _check_form(argument, shape, dtype, event_shape):
    if not (dtype.is_integer or dtype.is_floating):
        raise TypeError(
            f"`{argument}` has dtype {dtype.name}: must be an integer or float type; convert it, e.g. to uint8."
        )
    expected = tf.TensorShape([None, *event_shape])
    if not shape.is_compatible_with(expected):
        raise ValueError(
            f"`{argument}` has shape {shape}: must be [N, H, W, C] = {expected} as the distribution's events; batch a "
            "dataset, resize the images, or build the distribution for their size."
        )


def _check_values(argument, images, levels, whole):
    images = np.asarray(images)
    low, high = images.min(), images.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError(f"`{argument}` holds values that are not finite; remove or repair these images.")
    if low < 0 or high >= levels:
        raise ValueError(
            f"`{argument}` holds values in [{low}, {high}]: pixels must lie in [0, levels={levels}); they are not to "
            "be scaled or centred. Set `levels` to the number of values that a pixel can have."
        )
    if whole and images.dtype.kind == "f" and not np.array_equal(images, np.floor(images)):
        raise ValueError(
            f"`{argument}` holds fractions in [{low}, {high}]: pixels must be whole numbers in [0, levels={levels}), "
            "since noise is added to them. Undo a scaling to [0, 1], or build the model with `dequantize=False` for "
            "pixels that are dequantised already."
        )
