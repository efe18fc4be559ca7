"""Trade height and width for channels (paper, section 3.6)."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.checks import check_bool

# The four pixels of a 2x2 tile as indices 2*dy + dx, in the order of the ordered squeeze: top-left, bottom-right,
# top-right, bottom-left, so that the first two and the last two are each a checkerboard's half.
_DIAGONALS_FIRST = (0, 3, 1, 2)


class Squeeze(tfp.bijectors.Bijector):
    """Moves each 2x2 tile of pixels into the channels: [H, W, C] -> [H/2, W/2, 4C].

        channel-major: output channel = c * 4 + 2 * dy + dx
        ordered:       output channel = k * C + c, k counting top-left, bottom-right, top-right, bottom-left

    `forward` squeezes, `inverse` unsqueezes; both only permute, so every log det is 0. In the flow, channel couplings
    work between a channel-major squeeze and its inverse, and `FactorOut` between the ordered ones.

    >>> Squeeze()(tf.reshape(tf.range(4.0), [2, 2, 1])).numpy().ravel()
    array([0., 1., 2., 3.], dtype=float32)
    >>> Squeeze(ordered=True)(tf.reshape(tf.range(4.0), [2, 2, 1])).numpy().ravel()
    array([0., 3., 1., 2.], dtype=float32)

    Reference: Dinh et al. 2017, section 3.6; both orders as in the released program.
    """

    def __init__(self, ordered=False, *, validate_args=False, name="squeeze"):
        """Builds the bijector.

        Args:
          ordered: Python bool; the ordered squeeze instead of the channel-major one.
          validate_args: Python bool; check sizes that are unknown until run time.
          name: Python str.
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
    def _parameter_properties(cls, dtype):
        return {}

    @property
    def _is_permutation(self):
        return True

    def _forward(self, x):
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

    def _inverse(self, y):
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

    def _forward_log_det_jacobian(self, x):
        return tf.zeros([], x.dtype)

    def _inverse_log_det_jacobian(self, y):
        return tf.zeros([], y.dtype)

    def _forward_event_shape(self, shape):
        height, width, channels = shape
        return tf.TensorShape([height and height // 2, width and width // 2, channels and 4 * channels])

    def _inverse_event_shape(self, shape):
        height, width, channels = shape
        return tf.TensorShape([height and 2 * height, width and 2 * width, channels and channels // 4])

    def _forward_event_shape_tensor(self, shape):
        return tf.stack([shape[0] // 2, shape[1] // 2, 4 * shape[2]])

    def _inverse_event_shape_tensor(self, shape):
        return tf.stack([2 * shape[0], 2 * shape[1], shape[2] // 4])

    def _checked(self, x, divisors, rule):
        if x.shape.rank is None or x.shape.rank < 3 or x.shape[-1] is None:
            raise ValueError(
                f"{self.name}: input of shape {x.shape}: must be [..., H, W, C] with known rank and channels; set them "
                "with `tf.ensure_shape`."
            )
        static = x.shape[-3:].as_list()
        if any(size is not None and size % d for size, d in zip(static, divisors, strict=True)):
            raise ValueError(f"{self.name}: input of shape [H, W, C]={static}: {rule}.")
        if self.validate_args:
            remainder = tf.shape(x)[-3:] % tf.constant(divisors)
            with tf.control_dependencies([tf.debugging.assert_equal(remainder, 0, message=rule)]):
                x = tf.identity(x)
        return x
