"""Multi-scale factoring out (paper, section 3.6)."""

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.image_bijector import ImageBijector, value_and_log_det


class FactorOut(ImageBijector):
    """Applies a bijector to the first half of the channels; the second half is left as latents.

        inverse:  x = concat(bijector.inverse(y[..., :C/2]), y[..., C/2:])

    The image keeps its shape, so that latents have the shape of the image at every scale.

    >>> FactorOut(tfp.bijectors.Scale(2.0)).forward(tf.ones([1, 1, 4])).numpy().ravel()
    array([2., 2., 1., 1.], dtype=float32)

    Reference: Dinh et al. 2017, equations 13 to 16.
    """

    def __init__(self, bijector, *, validate_args=False, name="factor_out"):
        """Builds the bijector.

        Args:
          bijector: any `tfb.Bijector` on [..., H, W, C/2]; an `ImageBijector` receives `training`, `conditioning`.
          validate_args: Python bool.
          name: Python str.
        """
        parameters = dict(locals())
        if not isinstance(bijector, tfp.bijectors.Bijector):
            raise TypeError(f"`bijector`={bijector!r}: must be a tfb.Bijector on images [..., H, W, C/2].")
        with tf.name_scope(name) as name:
            self.bijector = bijector
            super().__init__(parameters=parameters, name=name, dtype=bijector.dtype, validate_args=validate_args)

    def _forward_and_log_det(self, x, **kwargs):
        return self._apply(x, "forward", kwargs)

    def _inverse_and_log_det(self, y, **kwargs):
        return self._apply(y, "inverse", kwargs)

    def _apply(self, value, direction, kwargs):
        if value.shape[-1] % 2:
            raise ValueError(
                f"{self.name}: input of shape {value.shape}: the number of channels must be even to factor one half "
                "out; squeeze the images first."
            )
        kept, factored_out = tf.split(value, 2, axis=-1)
        kept, log_det = value_and_log_det(self.bijector, kept, direction, **kwargs)
        return tf.concat([kept, factored_out], axis=-1), tf.broadcast_to(log_det, tf.shape(value)[:-3])
