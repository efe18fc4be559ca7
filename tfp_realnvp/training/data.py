"""Images, conditioning and weights of images in the places that Keras has for them: x, y and sample_weight."""

import numbers
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.keywords import check_conditioning, conditioning_of_distribution

_NOT_FINITE = "holds values that are not finite; remove or repair these images."


def check_images(
    argument: str,
    data: Any,
    conditioning: Any,
    *,
    distribution: tfp.distributions.Distribution,
    levels: int,
    whole: bool,
    pass_it: str | None = None,
) -> None:
    """Raises an error if a `FlowModel` can't take these data; it reads one batch of a dataset at most.

    Generators, `Sequence`s and distributed datasets are not checked: to look at them would use them up.

    Args:
      argument: name of the argument, for messages.
      data: what Keras' `fit` takes as x: array, tensor, or `tf.data.Dataset` of images or (images, conditioning).
      conditioning: what it takes as y, or None.
      distribution: `tfd.Distribution` over images [H, W, C].
      levels: Python int; pixels must lie in [0, levels).
      whole: Python bool; pixels must be whole numbers, since noise in [0, 1) will be added to them.
      pass_it: how a message says to pass conditioning, if not as `fit` takes it.

    Raises:
      TypeError: if the data are no numbers.
      ValueError: for a wrong shape, values out of range, or conditioning that the flow does not take.
    """
    if data is None or isinstance(data, list | tuple | dict | str | numbers.Number):
        raise TypeError(
            f"`{argument}` is of type {type(data).__name__}: must be an array or tensor [N, H, W, C] or a "
            f"`tf.data.Dataset`; convert a list with `np.stack`, and {pass_it or 'pass conditioning as `y`'}."
        )
    if isinstance(data, tf.data.Dataset):
        spec = data.element_spec
        images, second = (*spec, None)[:2] if isinstance(spec, tuple) else (spec, None)
        conditioning = second if isinstance(second, tf.TensorSpec) else None  # A dataset may hold None for it.
        if not isinstance(images, tf.TensorSpec):
            raise TypeError(
                f"`{argument}` has elements {spec}: must be images or (images, conditioning); map the dataset to these."
            )
        _check_form(argument, images.shape, images.dtype, distribution.event_shape)
        first = next(iter(data.take(1)), None)
        if first is None:
            raise ValueError(f"`{argument}` is an empty dataset: it needs at least one batch of images.")
        _check_values(argument, first[0] if isinstance(first, tuple) else first, levels, whole)
    elif hasattr(data, "shape") and hasattr(data, "dtype"):
        check_array(argument, data, distribution, levels, whole=whole)
    else:
        return
    shape = None if conditioning is None else tf.TensorShape(getattr(conditioning, "shape", None))
    if shape is not None and _stands_for_none(shape):
        shape = None
    takes = conditioning_of_distribution(distribution)
    how = {} if pass_it is None else {"pass_it": pass_it}
    check_conditioning(f"`{argument}`: its conditioning", shape, takes, rank=2, **how)


def check_array(
    argument: str, data: Any, distribution: tfp.distributions.Distribution, levels: int, *, whole: bool
) -> None:
    """Does what `check_images` does for `data` that are an array or tensor, without their conditioning."""
    _check_form(argument, tf.TensorShape(data.shape), data.dtype, distribution.event_shape)
    _check_not_empty(argument, data)
    _check_values(argument, data, levels, whole)


def check_real_pixels(argument: str, pixels: Any, distribution: tfp.distributions.Distribution) -> None:
    """Raises an error unless `pixels`, an array or tensor, are real pixels [N, H, W, C] that have their noise already.

    Real pixels need not lie in [0, levels): a flow's own samples leave it by a little.
    """
    if not (hasattr(pixels, "shape") and hasattr(pixels, "dtype")):
        raise TypeError(
            f"`{argument}` is of type {type(pixels).__name__}: must be an array or tensor [N, H, W, C]; convert a list "
            "with `np.stack`, and take `predict` for a dataset."
        )
    _check_form(argument, tf.TensorShape(pixels.shape), pixels.dtype, distribution.event_shape)
    _check_not_empty(argument, pixels)
    pixels = np.asarray(pixels)
    if not np.all(np.isfinite(pixels)):
        raise ValueError(f"`{argument}` {_NOT_FINITE}")
    if np.array_equal(pixels, np.floor(pixels)):
        raise ValueError(
            f"`{argument}` of dtype {pixels.dtype.name} holds whole numbers only: real pixels have noise, without "
            "which a density says nothing of images; give images an integer dtype, e.g. uint8, or pass them through "
            "`dequantize`."
        )


def _check_not_empty(argument: str, data: Any) -> None:
    if not data.shape[0]:
        raise ValueError(f"`{argument}` of shape {tuple(data.shape)} is empty: it needs at least one image.")


def image_dtype(argument: str, dtype: Any) -> tf.DType:
    """Returns TensorFlow's name for a dtype of images; raises TypeError unless it is an integer or float type."""
    try:
        kind = tf.as_dtype(dtype)
    except TypeError:
        kind = None
    if kind is None or not (kind.is_integer or kind.is_floating):
        name = getattr(kind, "name", dtype)
        raise TypeError(
            f"`{argument}` has dtype {name}: must be an integer or float type of TensorFlow or "
            "NumPy; convert it, e.g. to uint8."
        )
    return kind


def _check_form(argument: str, shape: tf.TensorShape, dtype: Any, event_shape: tf.TensorShape) -> None:
    image_dtype(argument, dtype)
    expected = tf.TensorShape([None, *event_shape])
    if not shape.is_compatible_with(expected):
        raise ValueError(
            f"`{argument}` has shape {shape}: must be [N, H, W, C] = {expected} as the distribution's events; batch a "
            "dataset, resize the images, or build the distribution for their size."
        )


def _check_values(argument: str, images: Any, levels: int, whole: bool) -> None:
    images = np.asarray(images)
    low, high = images.min(), images.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError(f"`{argument}` {_NOT_FINITE}")
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


def conditioning_rows(conditioning: Any, count: int, distribution: tfp.distributions.Distribution) -> tf.Tensor | None:
    """Returns the conditioning of `count` images as a tensor [count, K], or None for none.

    Args:
      conditioning: [count, K], or [K] for the same in all images, or None. Integers [K] are refused for K images,
        where they may as well be labels.
      count: Python int.
      distribution: `tfd.Distribution` over images.

    Raises:
      TypeError: if it holds no numbers.
      ValueError: if it is not what the distribution takes, has another number of rows, or is not finite.
    """
    takes = conditioning_of_distribution(distribution)
    pass_it = "pass `conditioning`, [N, K] or [K] for all images"
    if conditioning is None:
        check_conditioning("`conditioning`", None, takes, pass_it=pass_it)
        return None
    try:
        given = tf.convert_to_tensor(conditioning)
        rows = tf.cast(given, distribution.dtype)
    except (TypeError, ValueError, tf.errors.OpError) as error:
        raise TypeError(
            f"`conditioning` of type {type(conditioning).__name__}: must be an array of numbers, [N, K] or [K]; "
            "classes go in as one-hot vectors."
        ) from error
    check_conditioning("`conditioning`", rows.shape, takes)
    if rows.shape.rank > 2 or (rows.shape.rank == 2 and rows.shape[0] != count):
        raise ValueError(
            f"`conditioning` of shape {rows.shape}: must be [{count}, {rows.shape[-1]}], a row for each of {count} "
            f"images, or [{rows.shape[-1]}], the same for all."
        )
    if given.dtype.is_integer and rows.shape == [count] and count > 1:
        raise ValueError(
            f"`conditioning` of shape {rows.shape} and dtype {given.dtype.name}: must be of a float type, since "
            f"{count} integers for {count} images may be a label for each; give one vector for all as floats, and "
            f"labels as one-hot vectors [{count}, {count}]."
        )
    if not tf.reduce_all(tf.math.is_finite(rows)):
        raise ValueError("`conditioning` holds values that are not finite; remove or repair these rows.")
    return tf.broadcast_to(rows, [count, rows.shape[-1]])


def y_beside_weights(x: Any, y: Any, sample_weight: Any) -> Any:
    """Returns the `y` to give to Keras.

    Keras loses the `sample_weight` of arrays without a `y`. Images without conditioning therefore get a `y` of shape
    [N, 0] if they have weights; `unpack` takes it for None.
    """
    return np.zeros([len(x), 0], np.float32) if y is None and sample_weight is not None else y


def unpack(data: Any) -> tuple[tf.Tensor, tf.Tensor | None, tf.Tensor | None]:
    """Returns images, conditioning and weights of what Keras gives to a step; None for what there is not."""
    images, conditioning, weights = (*data, None, None)[:3] if isinstance(data, list | tuple) else (data, None, None)
    if isinstance(images, tuple):  # `predict` knows no y, so its x are pairs.
        images, conditioning = images
    if conditioning is not None and _stands_for_none(conditioning.shape):
        conditioning = None
    return images, conditioning, weights


def _stands_for_none(shape: tf.TensorShape) -> bool:
    """Whether a `y` of this shape is that of `y_beside_weights`."""
    return shape.rank == 2 and shape[-1] == 0
