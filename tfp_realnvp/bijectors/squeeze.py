"""Squeezing: channels in exchange for height and width (paper, section 3.6)."""

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.checks import check_bool, check_divisible, check_event_rank, check_image_rank

Sizes = tuple[int, int, int]

# The four pixels of a 2x2 tile as indices 2*dy + dx, in the order of the ordered squeeze: top-left, bottom-right,
# top-right, bottom-left. The first two are one half of a checkerboard, the last two are the other half.
_DIAGONALS_FIRST = (0, 3, 1, 2)
# The sizes of [H, W, C] are divided by one of these and multiplied by the other.
_TILE, _TILE_IN_CHANNELS = (2, 2, 1), (1, 1, 4)
_RULES = {
    _TILE: "height and width must be even to be squeezed; crop, pad or resize the images",
    _TILE_IN_CHANNELS: "channels must be a multiple of 4 to be unsqueezed; check what was squeezed",
}


class Squeeze(tfp.bijectors.Bijector):
    """Moves each 2x2 tile of pixels into the channels: [H, W, C] -> [H/2, W/2, 4C].

        forward:  y[..., i, j, channel] = x[..., 2 * i + dy, 2 * j + dx, c]
        inverse:  x[..., 2 * i + dy, 2 * j + dx, c] = y[..., i, j, channel]
            channel-major: channel = c * 4 + 2 * dy + dx
            ordered:       channel = k * C + c, where k counts top-left, bottom-right, top-right, bottom-left
        log |det dy/dx| = log |det dx/dy| = 0

    An event may have more axes, e.g. [T, H, W, C], and what is unknown of its shape stays unknown.

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
        x = self._checked(x, _TILE)
        shape = tf.shape(x)
        batch, height, width, channels = shape[:-3], shape[-3] // 2, shape[-2] // 2, x.shape[-1]
        tiles = tf.reshape(x, [-1, height, 2, width, 2, channels])
        if self.ordered:
            tiles = tf.reshape(tf.transpose(tiles, [0, 1, 3, 2, 4, 5]), [-1, height, width, 4, channels])
            tiles = tf.gather(tiles, _DIAGONALS_FIRST, axis=-2)
        else:
            tiles = tf.transpose(tiles, [0, 1, 3, 5, 2, 4])
        y = tf.reshape(tiles, tf.concat([batch, [height, width, 4 * channels]], 0))
        return tf.ensure_shape(y, self._forward_event_shape(x.shape))

    def _inverse(self, y: tf.Tensor) -> tf.Tensor:
        y = self._checked(y, _TILE_IN_CHANNELS)
        shape = tf.shape(y)
        batch, height, width, channels = shape[:-3], shape[-3], shape[-2], y.shape[-1] // 4
        if self.ordered:
            tiles = tf.gather(tf.reshape(y, [-1, height, width, 4, channels]), np.argsort(_DIAGONALS_FIRST), axis=-2)
            tiles = tf.transpose(tf.reshape(tiles, [-1, height, width, 2, 2, channels]), [0, 1, 3, 2, 4, 5])
        else:
            tiles = tf.transpose(tf.reshape(y, [-1, height, width, channels, 2, 2]), [0, 1, 4, 2, 5, 3])
        x = tf.reshape(tiles, tf.concat([batch, [2 * height, 2 * width, channels]], 0))
        return tf.ensure_shape(x, self._inverse_event_shape(y.shape))

    def _forward_log_det_jacobian(self, x: tf.Tensor) -> tf.Tensor:
        return tf.zeros([], x.dtype)

    def _inverse_log_det_jacobian(self, y: tf.Tensor) -> tf.Tensor:
        return tf.zeros([], y.dtype)

    def _forward_event_shape(self, shape: tf.TensorShape) -> tf.TensorShape:
        return self._exchanged(shape, _TILE, _TILE_IN_CHANNELS)

    def _inverse_event_shape(self, shape: tf.TensorShape) -> tf.TensorShape:
        return self._exchanged(shape, _TILE_IN_CHANNELS, _TILE)

    def _forward_event_shape_tensor(self, shape: tf.Tensor) -> tf.Tensor:
        return self._exchanged_tensor(shape, _TILE, _TILE_IN_CHANNELS)

    def _inverse_event_shape_tensor(self, shape: tf.Tensor) -> tf.Tensor:
        return self._exchanged_tensor(shape, _TILE_IN_CHANNELS, _TILE)

    def _exchanged(self, shape: tf.TensorShape, divisors: Sizes, factors: Sizes) -> tf.TensorShape:
        """Returns [..., H, W, C] after the exchange; what is unknown, the rank included, stays unknown."""
        self._check_event(shape, divisors)
        if shape.rank is None:
            return shape
        sizes = zip(shape[-3:].as_list(), divisors, factors, strict=True)
        return shape[:-3].concatenate([size and size // divisor * factor for size, divisor, factor in sizes])

    def _exchanged_tensor(self, shape: tf.Tensor, divisors: Sizes, factors: Sizes) -> tf.Tensor:
        self._check_event(tf.TensorShape(tf.get_static_value(shape)), divisors)
        shape = self._asserted(shape, shape, divisors) if self.validate_args else shape
        return tf.concat([shape[:-3], shape[-3:] // divisors * factors], 0)

    def _check_event(self, shape: tf.TensorShape, divisors: Sizes) -> None:
        """Raises ValueError if what is known of an event's shape can't be squeezed, before any image arrives."""
        check_event_rank(f"{self.name}: event", shape)
        if shape.rank is not None:
            check_divisible(f"{self.name}: event", shape, divisors, _RULES[divisors])

    def _checked(self, x: tf.Tensor, divisors: Sizes) -> tf.Tensor:
        check_image_rank(f"{self.name}: input", x.shape)
        check_divisible(f"{self.name}: input", x.shape, divisors, _RULES[divisors])
        return self._asserted(x, tf.shape(x), divisors) if self.validate_args else x

    def _asserted(self, value: tf.Tensor, shape: tf.Tensor, divisors: Sizes) -> tf.Tensor:
        """Returns `value` once the sizes in `shape`, which may be unknown until run time, are checked."""
        with tf.control_dependencies([tf.debugging.assert_equal(shape[-3:] % divisors, 0, message=_RULES[divisors])]):
            return tf.identity(value)
