"""Multi-scale factoring out (paper, section 3.6)."""

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.bijectors.image_bijector import ImageBijector, ValueAndLogDet, value_and_log_det
from tfp_realnvp.checks import check_divisible


class FactorOut(ImageBijector):
    """Applies a bijector to the first half of the channels, and leaves the second half as latents.

        forward:  y = concat(bijector.forward(x[..., :C/2]), x[..., C/2:])
        inverse:  x = concat(bijector.inverse(y[..., :C/2]), y[..., C/2:])
        log |det dy/dx| = that of `bijector.forward` at x[..., :C/2]
        log |det dx/dy| = that of `bijector.inverse` at y[..., :C/2]

    The result has the shape of the input [..., H, W, C], so that latents have the shape of the image at every scale.

    >>> FactorOut(tfp.bijectors.Scale(2.0)).forward(tf.ones([1, 1, 4])).numpy().ravel()
    array([2., 2., 1., 1.], dtype=float32)

    Reference: Dinh et al. 2017, equations 13 to 16.
    """

    def __init__(
        self, bijector: tfp.bijectors.Bijector, *, validate_args: bool = False, name: str = "factor_out"
    ) -> None:
        """Builds the bijector.

        Args:
          bijector: any `tfb.Bijector` on [..., H, W, C/2]; an `ImageBijector` receives `training`, `conditioning`.
          validate_args: Python bool.
          name: Python str.

        Raises:
          TypeError: if `bijector` is not a `tfb.Bijector`.
        """
        parameters = dict(locals())
        if not isinstance(bijector, tfp.bijectors.Bijector):
            raise TypeError(f"`bijector`={bijector!r}: must be a tfb.Bijector on images [..., H, W, C/2].")
        with tf.name_scope(name) as name:
            self.bijector = bijector
            super().__init__(parameters=parameters, name=name, dtype=bijector.dtype, validate_args=validate_args)

    def _forward_and_log_det(self, x: tf.Tensor, **keywords: Any) -> ValueAndLogDet:
        return self._apply(x, "forward", keywords)

    def _inverse_and_log_det(self, y: tf.Tensor, **keywords: Any) -> ValueAndLogDet:
        return self._apply(y, "inverse", keywords)

    def _apply(self, value: tf.Tensor, direction: str, keywords: dict[str, Any]) -> ValueAndLogDet:
        kept, factored_out = tf.split(value, 2, axis=-1)
        kept, log_det = value_and_log_det(self.bijector, kept, direction, **keywords)
        return tf.concat([kept, factored_out], axis=-1), tf.broadcast_to(log_det, tf.shape(value)[:-3])

    def _check_shape(self, what: str, shape: tf.TensorShape) -> None:
        rule = "the number of channels must be even to factor one half out; squeeze the images first"
        check_divisible(f"{self.name}: {what}", shape, (1, 1, 2), rule)
