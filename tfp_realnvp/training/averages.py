"""Exponential moving averages of everything that a model evaluates with."""

import contextlib
from collections.abc import Iterator, Sequence

import tensorflow as tf

from tfp_realnvp.checks import check_number
from tfp_realnvp.runtime.replicas import replica_local


class WeightAverages(tf.Module):
    """Averages of weights and of running statistics, for evaluation.

        average += (1 - d) * (weight - average),      d = min(decay, (1 + updates) / (10 + updates))

    Unlike the `use_ema` of Keras' optimizers, it averages the running statistics of batch norms along with the weights
    that made them, and training goes on from the weights themselves.
    """

    def __init__(self, variables: Sequence[tf.Variable], decay: float, name: str = "weight_averages") -> None:
        """Builds the averages of those `variables` that are of float types; `decay` is a float in (0, 1)."""
        super().__init__(name=name)
        check_number("averaging", decay, lambda d: 0 < d < 1, "None or a decay in (0, 1), e.g. 0.999")
        self.decay = decay
        self._sources = [v for v in variables if v.dtype.is_floating]
        self.averages = [_average(v) for v in self._sources]
        self.num_updates = replica_local(lambda: tf.zeros([], tf.int64), "num_updates")

    def update(self) -> None:
        """Moves every average by one step; called in a replica."""
        updates = tf.cast(self.num_updates, tf.float32)
        decay = tf.minimum(self.decay, (1.0 + updates) / (10.0 + updates))
        # Once for all averages of a type: a flow has hundreds, and each operation takes time to trace.
        shares = {dtype: tf.cast(1.0 - decay, dtype) for dtype in {v.dtype for v in self._sources}}
        for average, source in zip(self.averages, self._sources, strict=True):
            _move_towards(average, source, shares[source.dtype])
        self.num_updates.assign_add(1)

    def restart(self) -> None:
        """Begins anew: every average has the value of its variable, as after no updates."""
        for average, source in zip(self.averages, self._sources, strict=True):
            average.assign(tf.identity(source))
        self.num_updates.assign(0)

    @contextlib.contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Within the block the variables have the values of their averages.

        If the block ends without an exception, the values that it leaves in non-trainable variables, which are the
        running statistics, become their averages: `recalibrate` computes them for the averaged weights and no others.
        """
        own = [tf.identity(v) for v in self._sources]
        try:
            for source, average in zip(self._sources, self.averages, strict=True):
                source.assign(tf.identity(average))
            yield
            for source, average in zip(self._sources, self.averages, strict=True):
                if not source.trainable:
                    average.assign(tf.identity(source))
        finally:
            for source, value in zip(self._sources, own, strict=True):
                source.assign(value)


def _average(source: tf.Variable) -> tf.Variable:
    """Returns a variable for the average of `source`, which starts at its value."""
    name = source.name.split(":")[0] + "/average"
    return replica_local(lambda: tf.identity(source), name, source.shape, source.dtype)


def _move_towards(average: tf.Variable, source: tf.Variable, share: tf.Tensor) -> None:
    """Does `average += share * (source - average)`.

    The kernel of gradient descent, `variable -= alpha * delta`, does it in two passes over the values. With
    `assign_add` it would be three.
    """
    tf.raw_ops.ResourceApplyGradientDescent(var=average.handle, alpha=share, delta=average - source)
