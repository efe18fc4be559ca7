"""Running statistics of batch normalisation, in the networks and between couplings (paper, appendix E)."""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from tfp_realnvp.checks import check_bool, check_int, check_number
from tfp_realnvp.runtime.ambient import ambient, within
from tfp_realnvp.runtime.recomputation import read_once, recomputing
from tfp_realnvp.runtime.replicas import in_several_replicas, replica_local, sum_over_replicas

Moments = tuple[tf.Tensor, tf.Tensor]


@contextlib.contextmanager
def recording_statistics() -> Iterator[list[tuple["RunningStatistics", tf.Tensor, tf.Tensor]]]:
    """Within the block, each batch is normalised by its own statistics in training, and no running statistics move.

    Yields a list. For each `RunningStatistics` that training would have moved, it gets an entry (the object, the
    batch's mean [C], the batch's variance [C]).
    """
    record: list[Any] = []
    with within(dataclasses.replace(ambient(), recorded_statistics=record)):
        yield record


class RunningStatistics(tf.Module):
    """Mean and variance per channel: those of the batch over all replicas, or running ones.

        running = momentum * running + (1 - momentum) * batch        once for each call with update_statistics=True

    In training, the batch's own statistics normalise; with `running_average` the running ones after that update do
    (appendix E: m~ = r m~ + (1 - r) m^), and the gradient goes through the current batch only. A batch whose
    statistics are not finite leaves the running ones as they are.

    A batch of a single value per channel, or of none, has no variance: it is refused in training.

    Attributes:
      mean, variance: variables [C], 0 and 1 at the start.
      trainable: Python bool. If False, the running statistics normalise in training too, and hold still, as those of
        a frozen `tf_keras.layers.BatchNormalization` do.
    """

    def __init__(
        self,
        channels: int,
        *,
        momentum: float = 0.9,
        running_average: bool = False,
        dtype: tf.DType = tf.float32,
        name: str = "statistics",
    ) -> None:
        """Builds the variables.

        Args:
          channels: Python int.
          momentum: float in [0, 1), the share of the old value; 0.9 in the released program.
          running_average: Python bool; normalise with the running statistics in training too (appendix E).
          dtype: the type of the statistics; float32 also where networks compute in a narrower type.
          name: Python str.

        Raises:
          ValueError, TypeError: for an argument out of range or of another type.
        """
        super().__init__(name=name)
        check_int("channels", channels, 1, meaning="the number of image channels C")
        check_number("momentum", momentum, lambda m: 0 <= m < 1, "in [0, 1), the share of the old value that is kept")
        check_bool("running_average", running_average)
        self.momentum = momentum
        self.running_average = running_average
        self.trainable = True
        with tf.name_scope(name):
            self.mean = replica_local(lambda: tf.zeros([channels], dtype), "mean", [channels], dtype)
            self.variance = replica_local(lambda: tf.ones([channels], dtype), "variance", [channels], dtype)

    def __call__(self, x: tf.Tensor, *, training: bool, update_statistics: bool = True) -> Moments:
        """Returns the mean and variance [C] that normalise `x` [..., C].

        Args:
          x: tensor; all axes but the last are averaged over.
          training: Python bool; use the batch's statistics (see the class) instead of the running ones.
          update_statistics: Python bool; in training, move the running statistics by one step.
        """
        if not training or not self.trainable:
            return self.running()
        return self.use_batch(*self.of_batch(tf.cast(x, self.mean.dtype)), update_statistics=update_statistics)

    def use_batch(self, mean: tf.Tensor, variance: tf.Tensor, *, update_statistics: bool) -> Moments:
        """Moves the running statistics towards those of a batch [C], and returns the ones that normalise the batch."""
        update_statistics = update_statistics and not recomputing()  # Once a step.
        record = ambient().recorded_statistics
        if record is not None:
            if update_statistics:
                record.append((self, mean, variance))
            return mean, variance
        old_mean, old_variance = self.running()
        new_mean = self.momentum * old_mean + (1 - self.momentum) * mean
        new_variance = self.momentum * old_variance + (1 - self.momentum) * variance
        if update_statistics:
            finite = tf.math.is_finite(new_mean + new_variance)
            self.mean.assign(tf.where(finite, tf.stop_gradient(new_mean), self.mean))
            self.variance.assign(tf.where(finite, tf.stop_gradient(new_variance), self.variance))
        return (new_mean, new_variance) if self.running_average else (mean, variance)

    def running(self) -> Moments:
        """Returns the running mean and variance [C]."""
        return read_once(lambda: (tf.convert_to_tensor(self.mean), tf.convert_to_tensor(self.variance)))

    @staticmethod
    def of_batch(x: tf.Tensor) -> Moments:
        """Returns mean and variance [C] of `x` [..., C] over all axes but the last, and over all replicas."""
        axes = list(range(x.shape.rank - 1))
        several = in_several_replicas()
        mean, variance = tf.nn.moments(x if several else checked_batch(x), axes)
        if not several:
            return mean, variance
        # Sums and not means are shared, since the last batch may be split unevenly.
        count = tf.cast(tf.size(x) // x.shape[-1], x.dtype)
        sums = tf.concat([count * mean, count * (variance + mean**2), count[tf.newaxis]], 0)
        sums = sum_over_replicas(sums)
        mean, square = tf.split(sums[:-1] / sums[-1], 2)
        return mean, tf.maximum(square - mean**2, 0.0)


def checked_batch(x: tf.Tensor) -> tf.Tensor:
    """Returns `x` [..., C]; raises an error if it has less than two values per channel, so that they have no variance.

    Raises:
      ValueError: if its shape says so. `tf.errors.InvalidArgumentError`, if only its values do.
    """
    rule = (
        "a batch norm can't be trained on a single value per channel, or on none, which has no variance: give the "
        "batch more images or pixels, or build the flow with `batch_norm=False`"
    )
    count = x.shape[:-1].num_elements()
    if count is None:
        with tf.control_dependencies([tf.debugging.assert_greater(tf.size(x), x.shape[-1], message=rule)]):
            return tf.identity(x)
    if count < 2:
        raise ValueError(f"batch of shape {x.shape}: {rule}.")
    return x
