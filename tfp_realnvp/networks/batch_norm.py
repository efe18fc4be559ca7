"""Batch normalisation inside a network."""

from typing import Any

import tensorflow as tf

from tfp_realnvp.networks.options import NetworkOptions
from tfp_realnvp.runtime.replicas import in_several_replicas
from tfp_realnvp.runtime.running_statistics import RunningStatistics, checked_batch
from tfp_realnvp.runtime.variables import late_variable


class BatchNorm(tf.Module):
    """Batch normalisation with a learned offset and without a gain; statistics as in `RunningStatistics`.

    y = (x - mean) / sqrt(variance + epsilon) + offset
    """

    def __init__(
        self, channels: int, options: NetworkOptions, *, epsilon: float = 1e-4, name: str = "batch_norm"
    ) -> None:
        """Builds the variables [channels], in `options.dtype`."""
        super().__init__(name=name)
        self.epsilon = epsilon
        with tf.name_scope(name):
            self.offset = late_variable(
                lambda: tf.zeros([channels], options.dtype), "offset", [channels], options.dtype
            )
            self.statistics = RunningStatistics(
                channels, momentum=options.momentum, running_average=options.running_average, dtype=options.dtype
            )

    def __call__(self, x: tf.Tensor, *, training: bool, update_statistics: bool) -> tf.Tensor:
        """Normalises `x` [N, H, W, C], in its own dtype, by statistics in the dtype of this module."""
        own = self.offset.dtype
        training = training and self.statistics.trainable
        has_kernel = own == tf.float32 and x.dtype.size <= own.size
        if training and has_kernel and not self.statistics.running_average and not in_several_replicas():
            return self._by_own_statistics(x, update_statistics)
        mean, variance = self.statistics(x, training=training, update_statistics=update_statistics)
        if not training and has_kernel:
            return self._kernel(x, is_training=False, mean=mean, variance=variance)[0]
        scale, shift = self.affine(mean, variance)
        return x * tf.cast(scale, x.dtype) + tf.cast(shift, x.dtype)

    def affine(self, mean: tf.Tensor, variance: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns scale and shift [C] that normalise values of this mean and variance."""
        scale = tf.math.rsqrt(variance + self.epsilon)
        return scale, self.offset - mean * scale

    def _by_own_statistics(self, x: tf.Tensor, update_statistics: bool) -> tf.Tensor:
        """Normalises by the batch's statistics, which TensorFlow's kernel computes along with the result."""
        y, mean, variance = self._kernel(checked_batch(x), is_training=True)
        if update_statistics:
            count = tf.cast(tf.size(x) // x.shape[-1], variance.dtype)
            # The kernel's variance is divided by n - 1.
            self.statistics.use_batch(mean, variance * (count - 1) / count, update_statistics=True)
        return y

    def _kernel(self, x: tf.Tensor, **options: Any) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Normalises by TensorFlow's fused kernel, which takes half the time of single operations on a CPU.

        TensorFlow fuses a ReLU that follows into the same kernel, forward and backward.
        """
        offset = tf.convert_to_tensor(self.offset)
        return tf.compat.v1.nn.fused_batch_norm(x, tf.ones_like(offset), offset, epsilon=self.epsilon, **options)
