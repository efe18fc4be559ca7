"""Checks of image data before any long work starts."""

import numpy as np
import tensorflow as tf


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
    if isinstance(data, tf.data.Dataset):
        spec = data.element_spec
        spec = spec[0] if isinstance(spec, tuple) else spec
        if not isinstance(spec, tf.TensorSpec):
            raise TypeError(f"`{argument}` has elements {data.element_spec}: must be images or (images, conditioning).")
        _check_form(argument, spec.shape, spec.dtype, event_shape)
        first = next(iter(data.take(1)), None)
        if first is None:
            raise ValueError(f"`{argument}` is an empty dataset: it needs at least one batch of images.")
        _check_values(argument, first[0] if isinstance(first, tuple) else first, levels, whole)
    elif hasattr(data, "shape") and hasattr(data, "dtype"):
        try:
            dtype = tf.as_dtype(data.dtype)
        except TypeError as error:
            raise TypeError(f"`{argument}` has dtype {data.dtype}: must be images of numbers, e.g. uint8.") from error
        _check_form(argument, tf.TensorShape(data.shape), dtype, event_shape)
        if not data.shape[0]:
            raise ValueError(f"`{argument}` of shape {tuple(data.shape)} is empty: it needs at least one image.")
        _check_values(argument, data, levels, whole)
    # Anything else (generators, Sequences, distributed datasets) can't be looked at without using it up.


def _check_form(argument, shape, dtype, event_shape):
    if not (dtype.is_integer or dtype.is_floating):
        raise TypeError(f"`{argument}` has dtype {dtype.name}: must be an integer or float type, e.g. uint8.")
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
