"""Between pixels in [0, levels) and real numbers (paper, section 4.1)."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.checks import check_input_type, check_int, check_number, check_seed

_SQUASHES = ("paper", "released")


class PixelLogit(tfp.bijectors.Bijector):
    """Maps real numbers to pixels in [0, levels); its inverse is a logit of squashed pixels.

        u = pixel / levels
        p = a + (1 - a) * u          squash "paper"
        p = a + (1 - 2 * a) * u      squash "released"
        inverse:  y = log(p) - log(1 - p)
        log dy/dpixel = log(dp/du) - log(levels) - log(p) - log(1 - p)

    The paper's squash takes u = 1 to p = 1. It stays finite since 1 - p is taken from levels - pixel, which floating
    point computes exactly, and is at least what rounding leaves of it: half an epsilon times the slope, y about 16.6 in
    float32. Images lie in [0, levels); p in (0, 1) allows somewhat more, where `forward` may answer and `inverse`
    takes it back. `quantize` clips to the images' range.

    Elementwise, for any shape.

    >>> PixelLogit(levels=256).inverse([0.0, 128.0]).numpy().round(3)
    array([-2.944,  0.   ], dtype=float32)

    Reference: Dinh et al. 2017, section 4.1; the released squash as in the authors' program.
    """

    def __init__(self, levels=256, squash="released", *, alpha=0.05, validate_args=False, name="pixel_logit"):
        """Builds the bijector.

        Args:
          levels: Python int, how many values a pixel can have (256 for 8 bits).
          squash: "released" (symmetric) or "paper".
          alpha: float in (0, 0.5), the `a` above.
          validate_args: Python bool; check that pixels lie in [0, levels).
          name: Python str.
        """
        parameters = dict(locals())
        check_levels(levels)
        if squash not in _SQUASHES:
            raise ValueError(f"`squash`={squash!r}: must be one of {_SQUASHES}, see `PixelLogit`.")
        check_number("alpha", alpha, lambda a: 0 < a < 0.5, "in (0, 0.5); it keeps the logit away from 0 and 1")
        with tf.name_scope(name) as name:
            self.levels = levels
            self.squash = squash
            self.alpha = alpha
            # p at the top of the pixel range is 1 - upper: 1 for the paper's squash.
            self._upper = 0.0 if squash == "paper" else alpha
            super().__init__(forward_min_event_ndims=0, validate_args=validate_args, parameters=parameters, name=name)

    @classmethod
    def _parameter_properties(cls, dtype):
        return {}

    @property
    def _slope(self):
        return 1.0 - self.alpha - self._upper

    def _forward(self, x):
        # From the nearer end of the interval, so that small distances to either end keep their digits.
        low = (tf.sigmoid(x) - self.alpha) / self._slope
        high = 1.0 - (tf.sigmoid(-x) - self._upper) / self._slope
        return self.levels * tf.where(x < 0, low, high)

    def _inverse(self, y):
        log_p, log_not_p = self._log_probabilities(y)
        return log_p - log_not_p

    def _inverse_log_det_jacobian(self, y):
        log_p, log_not_p = self._log_probabilities(y)
        return np.log(self._slope / self.levels) - log_p - log_not_p

    def _forward_log_det_jacobian(self, x):
        return tf.math.log_sigmoid(x) + tf.math.log_sigmoid(-x) - np.log(self._slope / self.levels)

    def _log_probabilities(self, pixels):
        check_input_type("pixels", pixels, None)
        if self.validate_args:
            rule = f"pixels must lie in [0, levels={self.levels}), neither scaled nor centred; see `dequantize`"
            checks = [
                tf.debugging.assert_non_negative(pixels, message=rule),
                tf.debugging.assert_less(pixels, tf.cast(self.levels, pixels.dtype), message=rule),
            ]
            with tf.control_dependencies(checks):
                pixels = tf.identity(pixels)
        # Each from its own end, so that small probabilities keep their digits, and never below what rounding leaves.
        least = self._slope * np.finfo(pixels.dtype.as_numpy_dtype).eps / 2
        p = self.alpha + self._slope / self.levels * pixels
        not_p = self._upper + self._slope / self.levels * (self.levels - pixels)
        return tf.math.log(tf.maximum(p, least)), tf.math.log(tf.maximum(not_p, least))


def dequantize(images, levels=256, *, seed, first_row=0, rows=None):
    """Returns float32 pixels in [0, levels): `images` plus uniform noise in [0, 1).

    Args:
      images: tensor [N, ...] of whole numbers in [0, levels), any dtype.
      levels: Python int.
      seed: two integers (tensor or sequence), for `tf.random.stateless_uniform`.
      first_row: int or tensor; the position of `images` in a larger batch of `rows`, whose noise it then shares, so
        that replicas of a strategy draw together what one device would draw alone.
      rows: size of that larger batch; default N.
    """
    check_levels(levels)
    images, seed = tf.convert_to_tensor(images), check_seed(seed)
    if not (images.dtype.is_integer or images.dtype.is_floating):
        raise TypeError(f"`images` has dtype {images.dtype.name}: must be whole numbers; convert them, e.g. to uint8.")
    images = tf.cast(images, tf.float32)
    shape = tf.shape(images)
    if rows is None:
        noise = tf.random.stateless_uniform(shape, seed)
    else:
        noise = tf.random.stateless_uniform(tf.concat([[rows], shape[1:]], 0), seed)
        noise = noise[first_row : first_row + shape[0]]
    # 255 + u rounds to 256 for u next to 1.
    return tf.minimum(images + noise, np.nextafter(np.float32(levels), np.float32(0)))


def quantize(pixels, levels=256):
    """Returns the whole-numbered pixels, uint8 (uint16 above 256 levels), of real ones; clips to [0, levels - 1]."""
    check_levels(levels)
    pixels = tf.convert_to_tensor(pixels)
    if not pixels.dtype.is_floating:
        raise TypeError(
            f"`pixels` has dtype {pixels.dtype.name}: must be real numbers, e.g. samples of a flow; whole numbers need "
            "no `quantize`."
        )
    pixels = tf.clip_by_value(tf.floor(pixels), 0.0, levels - 1.0)
    return tf.cast(pixels, tf.uint8 if levels <= 256 else tf.uint16)


def check_levels(levels):
    """Raises if `levels` is no int in [2, 65536]: float32 has no room for noise on finer pixels."""
    check_int("levels", levels, 2, 65536, "the number of values of a pixel, e.g. 256 for 8 bits")
