"""Batch normalisation as a bijector, and the running statistics it shares with the networks (appendix E)."""

import contextlib
import contextvars

import tensorflow as tf

from tfp_realnvp.checks import check_bool, check_float_type, check_int, check_number
from tfp_realnvp.image_bijector import ImageBijector
from tfp_realnvp.masks import check_mask, evaluate_mask, image_shape
from tfp_realnvp.recomputation import read_once, recomputing
from tfp_realnvp.replicas import in_several_replicas, replica_local, sum_over_replicas

_record: contextvars.ContextVar[list | None] = contextvars.ContextVar("tfp_realnvp_statistics", default=None)


@contextlib.contextmanager
def recording_statistics():
    """Within the block every batch is normalised by its own statistics, in either mode, and no running ones move.

    Yields a list, filled with (`RunningStatistics`, mean [C], variance [C]) for each that training would have moved.
    """
    record: list = []
    token = _record.set(record)
    try:
        yield record
    finally:
        _record.reset(token)


class RunningStatistics(tf.Module):
    """Mean and variance per channel: of the batch over all replicas, or running ones.

        running = momentum * running + (1 - momentum) * batch        once for each call with update=True

    In training, the statistics that normalise are the batch's own; with `running_average` they are the running ones
    after that update (appendix E: m~ = r m~ + (1 - r) m^), whose gradient goes through the current batch only. A
    batch whose statistics are not finite leaves the running ones as they are.
    """

    def __init__(self, channels, *, momentum=0.9, running_average=False, dtype=tf.float32, name="statistics"):
        """Builds the variables.

        Args:
          channels: Python int.
          momentum: float in [0, 1), the share of the old value; 0.9 in the released program.
          running_average: Python bool; normalise with the running statistics in training too (appendix E).
          dtype: of the statistics; float32 also where networks compute in a narrower type.
          name: Python str.
        """
        super().__init__(name=name)
        check_int("channels", channels, 1, meaning="the number of image channels C")
        check_number("momentum", momentum, lambda m: 0 <= m < 1, "in [0, 1), the share of the old value that is kept")
        check_bool("running_average", running_average)
        self.momentum = momentum
        self.running_average = running_average
        with tf.name_scope(name):
            self.mean = replica_local(tf.zeros([channels], dtype), "mean")
            self.variance = replica_local(tf.ones([channels], dtype), "variance")

    def __call__(self, x, *, training, update=True):
        """Returns mean and variance [C] of `x` [..., C] to normalise with.

        Args:
          x: tensor; all axes but the last are averaged over.
          training: Python bool; the batch's statistics (see the class) instead of the running ones.
          update: Python bool; in training, move the running statistics by one step.
        """
        if not training:
            return self.running()
        return self.blend(*self.of_batch(tf.cast(x, self.mean.dtype)), update=update)

    def blend(self, mean, variance, *, update):
        """Takes the statistics of a batch, moves the running ones, returns those that normalise."""
        update = update and not recomputing()  # Once a step.
        record = read_once(_record.get)
        if record is not None:
            if update:
                record.append((self, mean, variance))
            return mean, variance
        old_mean, old_variance = self.running()
        new_mean = self.momentum * old_mean + (1 - self.momentum) * mean
        new_variance = self.momentum * old_variance + (1 - self.momentum) * variance
        if update:
            finite = tf.math.is_finite(new_mean + new_variance)
            self.mean.assign(tf.where(finite, tf.stop_gradient(new_mean), self.mean))
            self.variance.assign(tf.where(finite, tf.stop_gradient(new_variance), self.variance))
        return (new_mean, new_variance) if self.running_average else (mean, variance)

    def running(self):
        """Returns the running mean and variance [C]."""
        return read_once(lambda: (tf.convert_to_tensor(self.mean), tf.convert_to_tensor(self.variance)))

    @staticmethod
    def of_batch(x):
        """Mean and variance of `x` over all axes but the last, and over all replicas."""
        axes = list(range(x.shape.rank - 1))
        mean, variance = tf.nn.moments(x, axes)
        if not in_several_replicas():
            return mean, variance
        # Sums rather than means, since the last batch may be split unevenly.
        count = tf.cast(tf.size(x) // x.shape[-1], x.dtype)
        sums = tf.concat([count * mean, count * (variance + mean**2), count[tf.newaxis]], 0)
        sums = sum_over_replicas(sums)
        mean, square = tf.split(sums[:-1] / sums[-1], 2)
        return mean, tf.maximum(square - mean**2, 0.0)


class FlowBatchNorm(ImageBijector):
    """Normalises the part of an image that a coupling has just changed.

        inverse:  x = y on the mask, (y - mean) / sqrt(variance + epsilon) elsewhere
        log |det dx/dy| = -0.5 * sum((1 - mask) * log(variance + epsilon))

    `mean` and `variance` are those of y * (1 - mask), masked zeros counted. In training they are the batch's and count
    as constants for the log det, as in the paper; otherwise, and always in `forward`, they are the running ones: a
    normalisation with its own batch's statistics cannot be undone from its result. No gain and no offset.

    >>> norm = FlowBatchNorm(channels=1)
    >>> x = norm.inverse(tf.constant([[[2.0]], [[4.0]]])[..., tf.newaxis], training=True)
    >>> x.numpy().ravel().round(3)
    array([-1.,  1.], dtype=float32)

    Reference: Dinh et al. 2017, section 3.7 and appendix E.
    """

    def __init__(
        self,
        channels,
        mask=0.0,
        *,
        momentum=0.9,
        running_average=False,
        epsilon=1e-4,
        recompute_gradients=False,
        dtype=tf.float32,
        validate_args=False,
        name="batch_norm",
    ):
        """Builds the bijector and its running statistics.

        Args:
          channels: Python int, C of the images.
          mask: callable or array, see `masks`; 1 is left alone. 0 normalises everything.
          momentum: see `RunningStatistics`.
          running_average: see `RunningStatistics`; True in the paper, False in the released program.
          epsilon: float, added to the variance.
          recompute_gradients: Python bool; keep only the input for the backward pass.
          dtype: of images and statistics.
          validate_args: Python bool.
          name: Python str.
        """
        parameters = dict(locals())
        check_int("channels", channels, 1, meaning="the number of image channels C")
        check_mask(mask)
        check_number("epsilon", epsilon, lambda e: e > 0, "above 0, e.g. 1e-4; it keeps the scale finite")
        check_float_type("dtype", dtype)
        with tf.name_scope(name) as name:
            self.mask = mask
            self.epsilon = epsilon
            self.statistics = RunningStatistics(
                channels, momentum=momentum, running_average=running_average, dtype=dtype
            )
            super().__init__(
                parameters=parameters,
                name=name,
                dtype=dtype,
                validate_args=validate_args,
                recompute_gradients=recompute_gradients,
            )

    def _forward_and_log_det(self, x, training, conditioning):
        shift, log_scale = self._shift_and_log_scale(x, training=False)
        return x * tf.exp(-log_scale) - shift, -tf.reduce_sum(log_scale, [-3, -2, -1])

    def _inverse_and_log_det(self, y, training, conditioning):
        shift, log_scale = self._shift_and_log_scale(y, training=training)
        return (y + shift) * tf.exp(log_scale), tf.reduce_sum(log_scale, [-3, -2, -1])

    def _shift_and_log_scale(self, y, training):
        if y.shape[-1] != self.statistics.mean.shape[0]:
            raise ValueError(
                f"{self.name}: input of shape {y.shape}: the last axis must be `channels`="
                f"{self.statistics.mean.shape[0]}; convert the images or build the bijector for their channels."
            )
        changed = 1 - evaluate_mask(self.mask, image_shape(y), y.dtype)
        mean, variance = self.statistics(y * changed, training=training)
        # The scale is the same for each image of the batch: broadcast over [H, W, C], not over the batch.
        log_scale = -0.5 * tf.math.log(variance + self.epsilon) * changed * tf.ones(image_shape(y), y.dtype)
        return -mean * changed, log_scale
