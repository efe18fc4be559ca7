"""Layers that start from data, and the batch that a training starts from."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.bijectors.act_norm import ActNorm
from tfp_realnvp.checks import check_distribution, check_input_type
from tfp_realnvp.keywords import image_log_prob
from tfp_realnvp.runtime.ambient import ambient, within
from tfp_realnvp.runtime.replicas import in_several_replicas
from tfp_realnvp.training.data import unpack

_KERAS_BATCH_SIZE = 32


def uninitialized(distribution: tfp.distributions.Distribution) -> list[ActNorm]:
    """Returns the `ActNorm`s of a distribution that have yet to start from data."""
    return [m for m in distribution.submodules if isinstance(m, ActNorm) and not m.initialized]


def initialize_from_data(
    distribution: tfp.distributions.Distribution, pixels: Any, *, conditioning: Any = None
) -> None:
    """Sets every `ActNorm` that was never set so that, over a batch, its outputs have mean 0 and variance 1.

    One pass of the batch from image to latents sets them all, each by what those before it make of the batch. Those
    that were set, or loaded, stay as they are: a second call does nothing. `FlowModel.fit` calls it with its first
    batch; before a training loop of your own, call it yourself, and begin averages of weights after it. Under a
    `tf.distribute` strategy, call it outside of the replicas, with a batch for all of them: every replica gets the
    same values. Of several workers, all call it, each with its own batch: the pass is over all of these together.

    >>> flow = Composition([ActNorm(channels=1), tfb.Scale(2.0), ActNorm(channels=1, name="second")], name="flow")
    >>> images = tfd.TransformedDistribution(tfd.Sample(tfd.Normal(0.0, 1.0), sample_shape=[1, 1, 1]), flow)
    >>> initialize_from_data(images, tf.reshape([1.0, 3.0, 5.0], [3, 1, 1, 1]))
    >>> tf.concat([flow.parts[0].log_scale, flow.parts[2].log_scale], 0).numpy().round(2)
    array([-0.49,  0.69], dtype=float32)

    Args:
      distribution: `tfd.Distribution` over images [H, W, C].
      pixels: float array or tensor [N, H, W, C], which have their noise already (`dequantize`): from 64 images on the
        start hardly depends on which they are.
      conditioning: numbers [N, K] or None.

    Raises:
      FloatingPointError: if a mean or a variance is not finite; nothing was changed then.
      TypeError, ValueError: for pixels of another form, or an `ActNorm` that `log_prob` does not reach.
      RuntimeError: within `tf.function` or a replica.

    Reference: Salimans & Kingma 2016, section 3; Kingma & Dhariwal 2018, section 3.1.
    """
    check_distribution(distribution)
    if not tf.executing_eagerly() or in_several_replicas():
        raise RuntimeError("`initialize_from_data` was called within `tf.function` or a replica: call it before them.")
    check_input_type("pixels", pixels, None)
    pixels = tf.identity(tf.cast(pixels, distribution.dtype))  # A new tensor, which TFP's cache can't know.
    expected = tf.TensorShape([None, *distribution.event_shape])
    if not pixels.shape.is_compatible_with(expected) or not len(pixels):
        raise ValueError(
            f"`pixels` of shape {pixels.shape}: must be [N, H, W, C] = {expected}, with at least one image."
        )
    found: dict[ActNorm, Any] = dict.fromkeys(uninitialized(distribution))
    if not found:
        return
    strategy = tf.distribute.get_strategy()
    if strategy.cluster_resolver is not None:
        conditioning = None if conditioning is None else tf.convert_to_tensor(conditioning)
        pixels, conditioning = _gathered(strategy, (pixels, conditioning))
    with within(dataclasses.replace(ambient(), initializations=found)):
        image_log_prob(distribution, pixels, training=False, conditioning=conditioning)
    for layer, values in found.items():
        if values is None:
            raise ValueError(f"`distribution`: its log_prob does not reach {layer.name!r}; nothing was changed.")
        if not np.isfinite(values).all():
            raise FloatingPointError(
                f"`pixels`: {layer.name!r} gets values whose mean or variance is not finite; nothing was changed. "
                "Check the pixels, and the weights before it."
            )
    for layer, (bias, log_scale) in found.items():
        layer.initialize(bias, log_scale)


def first_batch(x: Any, y: Any, batch_size: int | None, validation_split: float) -> tuple[Any, Any]:
    """Returns `x`, and a batch (images, conditioning) that stands for the images that `fit` gets.

    Args:
      x, y, batch_size, validation_split: arguments of Keras' `fit`. A generator is used up by the look at its first
        batch, and the `x` that is returned is one that still has it.

    Raises:
      ValueError: for a dataset or generator without batches.
    """
    if hasattr(x, "shape"):
        size = batch_size or _KERAS_BATCH_SIZE
        count = max(1, int(len(x) * (1 - validation_split)))  # Keras validates on the last ones.
        rows = np.arange(min(size, count)) * count // min(size, count)  # Spread, since images may be sorted.
        return x, (_rows(x, rows), None if y is None else _rows(y, rows))
    iterator = iter(x)
    data = next(iterator, None)
    if data is None:
        raise ValueError("`x` has no batch: it needs at least one, with images.")
    if isinstance(x, tf.distribute.DistributedDataset):
        data = _gathered(tf.distribute.get_strategy(), data)
    return _chained(data, iterator) if iterator is x else x, unpack(data)[:2]


def _chained(first: Any, others: Iterator[Any]) -> Iterator[Any]:
    """Yields `first`, then `others`; Keras 3 takes no other iterators than generators."""
    yield first
    yield from others


def _rows(array: Any, rows: np.ndarray) -> Any:
    return tf.gather(array, rows) if tf.is_tensor(array) else array[rows]


def _gathered(strategy: tf.distribute.Strategy, data: Any) -> Any:
    """Returns what all replicas have of a structure of tensors and None, one replica's after the other's."""

    @tf.function  # A strategy for TPUs runs nothing else.
    def floats(data: Any) -> Any:
        return [tf.cast(part, tf.float32) if part.dtype == tf.uint8 else part for part in data]  # It gathers no uint8.

    flat = tf.nest.flatten(data)
    parts = [part for part in flat if part is not None]
    whole = iter([strategy.gather(part, axis=0) for part in strategy.run(floats, args=(parts,))])
    return tf.nest.pack_sequence_as(data, [None if part is None else next(whole) for part in flat])
