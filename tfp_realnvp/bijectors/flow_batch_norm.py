"""Batch normalisation as a bijector (paper, section 3.7 and appendix E)."""

from typing import Any

import tensorflow as tf

from tfp_realnvp.bijectors.image_bijector import ImageBijector, ValueAndLogDet
from tfp_realnvp.bijectors.masks import Mask, check_mask, evaluate_mask, image_shape
from tfp_realnvp.checks import check_channels, check_float_type, check_int, check_number
from tfp_realnvp.runtime.running_statistics import RunningStatistics


class FlowBatchNorm(ImageBijector):
    """Normalises the part of an image [..., H, W, C] that a coupling has just changed.

        shift = -(1 - mask) * mean
        log_scale = -0.5 * (1 - mask) * log(variance + epsilon)
        inverse:  x = (y + shift) * exp(log_scale)
        forward:  y = x * exp(-log_scale) - shift
        log |det dx/dy| = sum(log_scale) over [H, W, C] = -log |det dy/dx|

    `mean` and `variance` [C] are those of y * (1 - mask); masked zeros count. With `training` they are the batch's, and
    the log det takes them for constants, as in the paper. Otherwise, and always in `forward`, they are the running
    ones: a normalisation by its own batch's statistics can't be undone from its result. There is no learned gain and
    no learned offset.

    >>> norm = FlowBatchNorm(channels=1)
    >>> x = norm.inverse(tf.constant([[[2.0]], [[4.0]]])[..., tf.newaxis], training=True)
    >>> x.numpy().ravel().round(3)
    array([-1.,  1.], dtype=float32)

    Reference: Dinh et al. 2017, section 3.7 and appendix E.
    """

    def __init__(
        self,
        channels: int,
        mask: Mask = 0.0,
        *,
        momentum: float = 0.9,
        running_average: bool = False,
        epsilon: float = 1e-4,
        recompute_gradients: bool = False,
        dtype: tf.DType = tf.float32,
        validate_args: bool = False,
        name: str = "batch_norm",
    ) -> None:
        """Builds the bijector and its running statistics.

        Args:
          channels: Python int, C of the images.
          mask: callable or array, see `bijectors.masks`; it leaves alone where it is 1, and 0.0 normalises all.
          momentum: see `RunningStatistics`.
          running_average: see `RunningStatistics`; True in the paper, False in the released program.
          epsilon: float, added to the variance.
          recompute_gradients: Python bool; keep only the input for the backward pass.
          dtype: of images and statistics.
          validate_args: Python bool.
          name: Python str.

        Raises:
          ValueError, TypeError: for an argument out of range or of another type.
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

    def _forward_and_log_det(self, x: tf.Tensor, *, training: bool, conditioning: Any) -> ValueAndLogDet:
        shift, log_scale = self._shift_and_log_scale(x, training=False)
        return x * tf.exp(-log_scale) - shift, -tf.reduce_sum(log_scale, [-3, -2, -1])

    def _inverse_and_log_det(self, y: tf.Tensor, *, training: bool, conditioning: Any) -> ValueAndLogDet:
        shift, log_scale = self._shift_and_log_scale(y, training=training)
        return (y + shift) * tf.exp(log_scale), tf.reduce_sum(log_scale, [-3, -2, -1])

    def _shift_and_log_scale(self, y: tf.Tensor, *, training: bool) -> tuple[tf.Tensor, tf.Tensor]:
        changed = 1 - evaluate_mask(self.mask, image_shape(y), y.dtype)
        mean, variance = self.statistics(y * changed, training=training)
        # The scale is the same for each image of the batch, so it has the shape [H, W, C] and no batch axis.
        log_scale = -0.5 * tf.math.log(variance + self.epsilon) * changed * tf.ones(image_shape(y), y.dtype)
        return -mean * changed, log_scale

    def _check_shape(self, what: str, shape: tf.TensorShape) -> None:
        check_channels(f"{self.name}: {what}", shape, self.statistics.mean.shape[0])
