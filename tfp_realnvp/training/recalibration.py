"""Running statistics estimated anew for fixed weights, and the likelihood that training sees."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.checks import check_distribution, check_input_type
from tfp_realnvp.keywords import image_log_prob
from tfp_realnvp.likelihood import bits_per_dim
from tfp_realnvp.runtime.replicas import in_several_replicas
from tfp_realnvp.runtime.running_statistics import RunningStatistics, recording_statistics


def recalibrate(distribution: tfp.distributions.Distribution, batches: Iterable[Any]) -> None:
    """Sets all `RunningStatistics` to the mean of the statistics of `batches`, in one pass ("precise batch norm").

        running = 1 / T * sum of batch_t over T batches

    In training, running statistics lag behind the weights; here all batches see the same weights. Every batch is
    normalised by its own statistics, also if `running_average` is set, and weighs the same whatever its size. So take
    batches of training images of the same size as in training, and leave out a small last one (`drop_remainder=True`).
    Statistics that `log_prob` does not use, and all other variables, stay as they are.

    For the weights that `evaluate` and `predict` of a `FlowModel` use, averaged or not:

        with model.evaluation_weights():
            recalibrate(model.distribution, batches)

    Under a `tf.distribute` strategy, call it outside of the replicas: each batch is computed whole, on one device.

    Args:
      distribution: `tfd.Distribution` over images [H, W, C].
      batches: iterable, e.g. a `tf.data.Dataset`, of float pixels [N, H, W, C] that have their noise already
        (`dequantize`), or of pairs (pixels, conditioning).

    Raises:
      FloatingPointError: if statistics of a batch are not finite; nothing was changed then.
      TypeError, ValueError: for batches of another form, none at all, a distribution that is not one over images of a
        static shape [H, W, C], or one without running statistics.

    >>> norm = FlowBatchNorm(channels=1)
    >>> prior = tfd.Sample(tfd.Normal(0.0, 1.0), sample_shape=[1, 1, 1])
    >>> batches = [tf.reshape(x, [2, 1, 1, 1]) for x in ([1.0, 3.0], [3.0, 7.0])]
    >>> recalibrate(tfd.TransformedDistribution(prior, norm), batches)
    >>> norm.statistics.mean.numpy(), norm.statistics.variance.numpy()
    (array([3.5], dtype=float32), array([2.5], dtype=float32))

    Reference: Wu & Johnson 2021, "Rethinking 'Batch' in BatchNorm", section 3.
    """
    _check_place(distribution)
    if not any(isinstance(m, RunningStatistics) for m in distribution.submodules):
        raise ValueError(
            f"`distribution`={distribution}: must hold `RunningStatistics`, as `FlowBatchNorm` and the networks with "
            "batch norm do; without them there is nothing to recalibrate: leave the call out."
        )
    totals: dict = {}
    for number, (_, seen) in enumerate(_in_training_mode(distribution, batches), 1):
        for statistics, values in seen:
            if not np.isfinite(values).all():
                raise FloatingPointError(
                    f"batch {number} of `batches`: not finite: its statistics of "
                    f"{statistics.mean.name.rpartition('/')[0]!r}. No running statistics were changed. Check the "
                    "pixels of this batch and the weights."
                )
            count, total = totals.get(statistics, (0, 0.0))
            totals[statistics] = count + 1, total + values
    if not totals:
        raise ValueError(
            f"`distribution`={distribution}: its `log_prob` reaches none of its running statistics; pass a "
            "`tfd.TransformedDistribution` whose bijector is an `ImageBijector` or a `tfb.Chain` of some."
        )
    for statistics, (count, total) in totals.items():
        mean, variance = total / count
        statistics.mean.assign(mean.astype(statistics.mean.dtype.as_numpy_dtype))
        statistics.variance.assign(variance.astype(statistics.variance.dtype.as_numpy_dtype))


def training_mode_bits_per_dim(distribution: tfp.distributions.Distribution, batches: Iterable[Any]) -> np.ndarray:
    """Returns the bits/dim of each image in all batches, NumPy [N], normalised by the statistics of its own batch.

    A gap between this and the bits/dim of the same pixels without `training` says that the running statistics do not
    fit the weights; `recalibrate` closes it. No variable is changed. Arguments, errors and strategies are as in
    `recalibrate`, except that a distribution may be without running statistics, and values that are not finite are
    returned.

    >>> norm = FlowBatchNorm(channels=1)
    >>> images = tfd.TransformedDistribution(tfd.Sample(tfd.Normal(0.0, 1.0), sample_shape=[1, 1, 1]), norm)
    >>> pixels = tf.reshape([1.0, 3.0], [2, 1, 1, 1])
    >>> training_mode_bits_per_dim(images, [pixels]).round(2)
    array([2.05, 2.05], dtype=float32)
    >>> bits_per_dim(images.log_prob(pixels), [1, 1, 1]).numpy().round(2)
    array([2.05, 7.82], dtype=float32)
    """
    _check_place(distribution)
    return np.concatenate([bits for bits, _ in _in_training_mode(distribution, batches)])


def _in_training_mode(
    distribution: tfp.distributions.Distribution, batches: Iterable[Any]
) -> Iterator[tuple[np.ndarray, list[tuple[RunningStatistics, np.ndarray]]]]:
    """Yields for each batch its bits/dim [N] and a list of (`RunningStatistics`, [mean, variance]), float64 [2, C].

    At every yield all variables have their old values.
    """
    layers: list = []

    def evaluate(*batch: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        pixels, conditioning = (*batch, None)[:2]
        with recording_statistics() as record:
            log_prob = image_log_prob(distribution, pixels, training=True, conditioning=conditioning)
        layers[:] = [statistics for statistics, *_ in record]
        return bits_per_dim(log_prob, pixels.shape[1:]), [tf.stack(values) for _, *values in record]

    # A user's Keras layers know nothing of recording, so that their statistics move and have to be put back.
    recorded = {id(v) for m in distribution.submodules if isinstance(m, RunningStatistics) for v in m.variables}
    others = [v for v in distribution.non_trainable_variables if id(v) not in recorded]
    traced = None
    for batch in batches:
        batch = _as_tensors(batch, distribution)
        if traced is None:  # It is traced once, for batches of all sizes.
            signature = [tf.TensorSpec([None, *part.shape[1:]], part.dtype) for part in batch]
            traced = tf.function(evaluate, autograph=False).get_concrete_function(*signature)
        before = [tf.identity(v) for v in others]
        try:
            bits, values = traced(*batch)
        finally:
            for v, value in zip(others, before, strict=True):
                v.assign(value)
        yield bits.numpy(), [(m, v.numpy().astype(np.float64)) for m, v in zip(layers, values, strict=True)]
    if traced is None:
        raise ValueError("`batches` is empty: it needs at least one batch of pixels; a generator is used up by a pass.")


def _as_tensors(batch: Any, distribution: tfp.distributions.Distribution) -> tuple[tf.Tensor, ...]:
    pixels, conditioning = batch if isinstance(batch, tuple | list) and len(batch) == 2 else (batch, None)
    if not (hasattr(pixels, "shape") and hasattr(pixels, "dtype")):
        raise TypeError(
            f"`batches` holds an element of type {type(batch).__name__}: must be pixels [N, H, W, C] or pairs (pixels, "
            "conditioning), arrays or tensors; map a dataset to these, and do not distribute it."
        )
    check_input_type("batches", pixels, None)
    expected = tf.TensorShape([None, *distribution.event_shape])
    if len(pixels.shape) != 4 or not expected.is_compatible_with(pixels.shape):
        raise ValueError(
            f"`batches` holds pixels of shape {tuple(pixels.shape)}: must be [N, H, W, C] = {expected}; batch a "
            "dataset, or put a single batch into a list."
        )
    pixels = tf.cast(pixels, distribution.dtype)
    return (pixels,) if conditioning is None else (pixels, tf.convert_to_tensor(conditioning))


def _check_place(distribution: tfp.distributions.Distribution) -> None:
    """Raises an error unless this is a distribution over images, and the place for a pass over batches."""
    check_distribution(distribution)
    if not tf.executing_eagerly() or in_several_replicas():
        raise RuntimeError(
            "running statistics are recalibrated, and compared, by a pass over batches: call it outside of "
            "`tf.function` and of a strategy's replicas."
        )
