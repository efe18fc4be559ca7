"""Squeezing: channels in exchange for height and width (paper, section 3.6)."""

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.checks import check_bool, check_divisible, check_image_rank

# The four pixels of a 2x2 tile as indices 2*dy + dx, in the order of the ordered squeeze: top-left, bottom-right,
# top-right, bottom-left. The first two are one half of a checkerboard, the last two are the other half.
_DIAGONALS_FIRST = (0, 3, 1, 2)


class Squeeze(tfp.bijectors.Bijector):
    """Moves each 2x2 tile of pixels into the channels: [H, W, C] -> [H/2, W/2, 4C].

        forward:  y[..., i, j, channel] = x[..., 2 * i + dy, 2 * j + dx, c]
        inverse:  x[..., 2 * i + dy, 2 * j + dx, c] = y[..., i, j, channel]
            channel-major: channel = c * 4 + 2 * dy + dx
            ordered:       channel = k * C + c, where k counts top-left, bottom-right, top-right, bottom-left
        log |det dy/dx| = log |det dx/dy| = 0

    In the flow, channel couplings work between a channel-major squeeze and its inverse, and `FactorOut` works between
    the ordered ones.

    >>> Squeeze()(tf.reshape(tf.range(4.0), [2, 2, 1])).numpy().ravel()
    array([0., 1., 2., 3.], dtype=float32)
    >>> Squeeze(ordered=True)(tf.reshape(tf.range(4.0), [2, 2, 1])).numpy().ravel()
    array([0., 3., 1., 2.], dtype=float32)

    Reference: Dinh et al. 2017, section 3.6; both orders as in the released program.
    """

    def __init__(self, ordered: bool = False, *, validate_args: bool = False, name: str = "squeeze") -> None:
        """Builds the bijector.

        Args:
          ordered: Python bool; the ordered squeeze instead of the channel-major one.
          validate_args: Python bool; check sizes that are unknown until run time.
          name: Python str.

        Raises:
          TypeError: if `ordered` is no Python bool.
        """
        parameters = dict(locals())
        check_bool("ordered", ordered)
        with tf.name_scope(name) as name:
            self.ordered = ordered
            super().__init__(
                forward_min_event_ndims=3,
                is_constant_jacobian=True,
                validate_args=validate_args,
                parameters=parameters,
                name=name,
            )

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict[str, Any]:
        return {}

    @property
    def _is_permutation(self) -> bool:
        return True

    def _forward(self, x: tf.Tensor) -> tf.Tensor:
        x = self._checked(x, (2, 2, 1), "height and width must be even to be squeezed; crop, pad or resize the images")
        shape = tf.shape(x)
        batch, height, width, channels = shape[:-3], shape[-3] // 2, shape[-2] // 2, x.shape[-1]
        tiles = tf.reshape(x, [-1, height, 2, width, 2, channels])
        if self.ordered:
            tiles = tf.reshape(tf.transpose(tiles, [0, 1, 3, 2, 4, 5]), [-1, height, width, 4, channels])
            tiles = tf.gather(tiles, _DIAGONALS_FIRST, axis=-2)
        else:
            tiles = tf.transpose(tiles, [0, 1, 3, 5, 2, 4])
        y = tf.reshape(tiles, tf.concat([batch, [height, width, 4 * channels]], 0))
        return tf.ensure_shape(y, x.shape[:-3].concatenate(self._forward_event_shape(x.shape[-3:])))

    def _inverse(self, y: tf.Tensor) -> tf.Tensor:
        y = self._checked(y, (1, 1, 4), "channels must be a multiple of 4 to be unsqueezed; check what was squeezed")
        shape = tf.shape(y)
        batch, height, width, channels = shape[:-3], shape[-3], shape[-2], y.shape[-1] // 4
        if self.ordered:
            tiles = tf.gather(tf.reshape(y, [-1, height, width, 4, channels]), np.argsort(_DIAGONALS_FIRST), axis=-2)
            tiles = tf.transpose(tf.reshape(tiles, [-1, height, width, 2, 2, channels]), [0, 1, 3, 2, 4, 5])
        else:
            tiles = tf.transpose(tf.reshape(y, [-1, height, width, channels, 2, 2]), [0, 1, 4, 2, 5, 3])
        x = tf.reshape(tiles, tf.concat([batch, [2 * height, 2 * width, channels]], 0))
        return tf.ensure_shape(x, y.shape[:-3].concatenate(self._inverse_event_shape(y.shape[-3:])))

    def _forward_log_det_jacobian(self, x: tf.Tensor) -> tf.Tensor:
        return tf.zeros([], x.dtype)

    def _inverse_log_det_jacobian(self, y: tf.Tensor) -> tf.Tensor:
        return tf.zeros([], y.dtype)

    def _forward_event_shape(self, shape: tf.TensorShape) -> tf.TensorShape:
        height, width, channels = shape
        return tf.TensorShape([height and height // 2, width and width // 2, channels and 4 * channels])

    def _inverse_event_shape(self, shape: tf.TensorShape) -> tf.TensorShape:
        height, width, channels = shape
        return tf.TensorShape([height and 2 * height, width and 2 * width, channels and channels // 4])

    def _forward_event_shape_tensor(self, shape: tf.Tensor) -> tf.Tensor:
        return tf.stack([shape[0] // 2, shape[1] // 2, 4 * shape[2]])

    def _inverse_event_shape_tensor(self, shape: tf.Tensor) -> tf.Tensor:
        return tf.stack([2 * shape[0], 2 * shape[1], shape[2] // 4])

    def _checked(self, x: tf.Tensor, divisors: tuple[int, int, int], rule: str) -> tf.Tensor:
        check_image_rank(f"{self.name}: input", x.shape)
        check_divisible(f"{self.name}: input", x.shape, divisors, rule)
        if self.validate_args:
            remainder = tf.shape(x)[-3:] % tf.constant(divisors)
            with tf.control_dependencies([tf.debugging.assert_equal(remainder, 0, message=rule)]):
                x = tf.identity(x)
        return x
