"""The logit between pixels in [0, levels) and real numbers (paper, section 4.1)."""

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.checks import check_input_type, check_levels, check_number

_SQUASHES = ("paper", "released")


class PixelLogit(tfp.bijectors.Bijector):
    """Maps real numbers to pixels in [0, levels) by a sigmoid, elementwise and for any shape.

        p = a + slope * pixel / levels,    slope = 1 - a (squash "paper") or 1 - 2 * a (squash "released")
        forward:  pixel = levels * (sigmoid(x) - a) / slope
        inverse:  x = log(p) - log(1 - p)
        log |d pixel / dx| = log_sigmoid(x) + log_sigmoid(-x) - log(slope / levels)
        log |dx / d pixel| = log(slope / levels) - log(p) - log(1 - p)

    The paper's squash takes the top of the pixel range to p = 1. Here it stays finite: 1 - p is computed from
    levels - pixel, which is exact in floating point, and is never below half an epsilon times the slope, which makes x
    about 16.7 in float32. Images lie in [0, levels). `forward` may answer with somewhat more, since p lies in (0, 1),
    and `inverse` takes that back; `quantize` clips to the images' range.

    >>> PixelLogit(levels=256).inverse([0.0, 128.0]).numpy().round(3)
    array([-2.944,  0.   ], dtype=float32)

    Reference: Dinh et al. 2017, section 4.1; the released squash as in the authors' program.
    """

    def __init__(
        self,
        levels: int = 256,
        squash: str = "released",
        *,
        alpha: float = 0.05,
        validate_args: bool = False,
        name: str = "pixel_logit",
    ) -> None:
        """Builds the bijector.

        Args:
          levels: Python int, how many values a pixel can have (256 for 8 bits).
          squash: "released" (symmetric) or "paper".
          alpha: float in (0, 0.5), the `a` above.
          validate_args: Python bool; check that pixels lie in [0, levels).
          name: Python str.

        Raises:
          ValueError: for an argument that is out of range.
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
    def _parameter_properties(cls, dtype: tf.DType) -> dict[str, Any]:
        return {}

    @property
    def _slope(self) -> float:
        return 1.0 - self.alpha - self._upper

    def _forward(self, x: tf.Tensor) -> tf.Tensor:
        # From the nearer end of the interval, so that small distances to an end keep their digits.
        low = (tf.sigmoid(x) - self.alpha) / self._slope
        high = 1.0 - (tf.sigmoid(-x) - self._upper) / self._slope
        return self.levels * tf.where(x < 0, low, high)

    def _inverse(self, y: tf.Tensor) -> tf.Tensor:
        log_p, log_not_p = self._log_probabilities(y)
        return log_p - log_not_p

    def _inverse_log_det_jacobian(self, y: tf.Tensor) -> tf.Tensor:
        log_p, log_not_p = self._log_probabilities(y)
        return np.log(self._slope / self.levels) - log_p - log_not_p

    def _forward_log_det_jacobian(self, x: tf.Tensor) -> tf.Tensor:
        return tf.math.log_sigmoid(x) + tf.math.log_sigmoid(-x) - np.log(self._slope / self.levels)

    def _log_probabilities(self, pixels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns log(p) and log(1 - p)."""
        check_input_type("pixels", pixels, None)
        if self.validate_args:
            rule = f"pixels must lie in [0, levels={self.levels}), neither scaled nor centred; see `dequantize`"
            checks = [
                tf.debugging.assert_non_negative(pixels, message=rule),
                tf.debugging.assert_less(pixels, tf.cast(self.levels, pixels.dtype), message=rule),
            ]
            with tf.control_dependencies(checks):
                pixels = tf.identity(pixels)
        # Each probability is computed from its own end, so that small ones keep their digits.
        least = self._slope * np.finfo(pixels.dtype.as_numpy_dtype).eps / 2
        p = self.alpha + self._slope / self.levels * pixels
        not_p = self._upper + self._slope / self.levels * (self.levels - pixels)
        return tf.math.log(tf.maximum(p, least)), tf.math.log(tf.maximum(not_p, least))
