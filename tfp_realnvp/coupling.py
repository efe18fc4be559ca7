"""The affine coupling (paper, sections 3.2 to 3.4)."""

import inspect

import tensorflow as tf

from tfp_realnvp.batch_norm import image_shape
from tfp_realnvp.checks import check_bool, check_float_type, check_number
from tfp_realnvp.image_bijector import ImageBijector
from tfp_realnvp.masks import check_mask, evaluate_mask


class AffineCoupling(ImageBijector):
    """Changes one part of an image by a shift and a scale computed from the other part.

        t, raw = conditioner(b * y)                 b: mask, 1 where it conditions
        s = gain * tanh(raw)                        gain: one learned scalar
        inverse:  x = b * y + (1 - b) * (y * exp(s) + t)           scale first, as in the paper
                  x = b * y + (1 - b) * ((y + t) * exp(s))         shift first, as in the released program
        log |det dx/dy| = sum((1 - b) * s)

    `inverse` maps images to latents (the paper's f); `forward` undoes it with the same t and s. The network runs once
    for value and log det.

    >>> coupling = AffineCoupling(masks.Checkerboard(), lambda h: tf.concat([h + 1, h], -1))
    >>> y = coupling.inverse(tf.zeros([2, 2, 1]))
    >>> y.numpy()[..., 0]
    array([[0., 1.],
           [1., 0.]], dtype=float32)
    >>> coupling.forward(y).numpy().ravel()
    array([0., 0., 0., 0.], dtype=float32)

    Reference: Dinh et al. 2017, equations 7 to 9; the gain of tanh as in section 4.1.
    """

    def __init__(
        self,
        mask,
        conditioner,
        *,
        shift_first=False,
        additive=False,
        gain=1.0,
        offset=False,
        dtype=tf.float32,
        validate_args=False,
        name="affine_coupling",
    ):
        """Builds the coupling and its scalar variables.

        Args:
          mask: callable `mask(event_shape, dtype)` or array that broadcasts against [H, W, C]; 1 conditions.
          conditioner: callable from [..., H, W, C] to [..., H, W, 2C], shift first (C channels if `additive`). The
            keywords `training` and `conditioning` are passed if it takes them.
          shift_first: Python bool, the order of shift and scale.
          additive: Python bool; shift only (volume-preserving, as in NICE).
          gain: float, start of the learned scalar on tanh; the released program starts at 0 for checkerboard and at 1
            for channel couplings.
          offset: Python bool; add one learned scalar to s, as the released program does without batch norm.
          dtype: of images and scalars.
          validate_args: Python bool.
          name: Python str.
        """
        parameters = dict(locals())
        check_mask(mask)
        if not callable(conditioner):
            raise TypeError(f"`conditioner`={conditioner!r}: must be callable, [..., H, W, C] -> [..., H, W, 2C].")
        for option, value in (("shift_first", shift_first), ("additive", additive), ("offset", offset)):
            check_bool(option, value)
        check_number("gain", gain, lambda x: True, "a finite number, e.g. 1.0")
        check_float_type("dtype", dtype)
        with tf.name_scope(name) as name:
            self.mask = mask
            self.conditioner = conditioner
            self.shift_first = shift_first
            self.additive = additive
            self.log_scale_gain = None if additive else tf.Variable(gain, dtype=dtype, name="log_scale_gain")
            self.log_scale_offset = (
                tf.Variable(0.0, dtype=dtype, name="log_scale_offset") if offset and not additive else None
            )
            super().__init__(parameters=parameters, name=name, dtype=dtype, validate_args=validate_args)
        self._conditioner_keywords = _accepted_keywords(conditioner)

    def _forward_and_log_det(self, x, **kwargs):
        shift, log_scale, log_det = self._shift_and_log_scale(x, update=False, **kwargs)
        y = x * tf.exp(-log_scale) - shift if self.shift_first else (x - shift) * tf.exp(-log_scale)
        return y, -log_det

    def _inverse_and_log_det(self, y, **kwargs):
        shift, log_scale, log_det = self._shift_and_log_scale(y, update=True, **kwargs)
        x = (y + shift) * tf.exp(log_scale) if self.shift_first else y * tf.exp(log_scale) + shift
        return x, log_det

    def _shift_and_log_scale(self, x, update, training, conditioning):
        """Shift and log-scale, both 0 where the mask is 1, and the sum of the log-scale over the image."""
        mask = evaluate_mask(self.mask, image_shape(x), x.dtype)
        keywords = {"training": training, "update_statistics": update, "conditioning": conditioning}
        if conditioning is not None and "conditioning" not in self._conditioner_keywords:
            raise ValueError(f"{self.name}: `conditioning` was given, but the conditioner takes no such keyword.")
        result = self.conditioner(x * mask, **{k: keywords[k] for k in self._conditioner_keywords})
        outputs = x.shape[-1] * (1 if self.additive else 2)
        if not tf.is_tensor(result):
            raise TypeError(
                f"{self.name}: `conditioner` answered with {type(result).__name__}: must be one tensor [..., H, W, "
                f"{outputs}]; concatenate shift and log-scale on the last axis."
            )
        if not result.shape.is_compatible_with([*x.shape[:-1], outputs]):
            raise ValueError(
                f"{self.name}: `conditioner` answered with shape {result.shape}; for images of shape {x.shape} it must "
                f"keep all axes but the last, and its last axis must be {outputs} "
                f"({'shift' if self.additive else 'shift, then log-scale'})."
            )
        result = tf.cast(result, x.dtype)
        if self.additive:
            shift, log_scale = result, tf.zeros_like(x)
        else:
            shift, raw = tf.split(result, 2, axis=-1)
            log_scale = self.log_scale_gain * tf.tanh(raw)
            if self.log_scale_offset is not None:
                log_scale += self.log_scale_offset
        log_scale *= 1 - mask
        return shift * (1 - mask), log_scale, tf.reduce_sum(log_scale, [-3, -2, -1])


def _accepted_keywords(function):
    """Those of our keywords that a callable, or the `call` of a Keras layer, takes by name."""
    function = getattr(function, "call", function)
    accepted = inspect.signature(function).parameters
    return tuple(k for k in ("training", "update_statistics", "conditioning") if k in accepted)
