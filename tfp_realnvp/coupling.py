"""The affine coupling (paper, sections 3.2 to 3.4)."""

import inspect

import tensorflow as tf

from tfp_realnvp.checks import check_bool, check_float_type, check_not_keras_3, check_number
from tfp_realnvp.image_bijector import ImageBijector
from tfp_realnvp.masks import check_mask, evaluate_mask, image_shape
from tfp_realnvp.recomputation import recomputing


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
        recompute_gradients=False,
        dtype=tf.float32,
        validate_args=False,
        name="affine_coupling",
    ):
        """Builds the coupling and its scalar variables.

        Args:
          mask: callable `mask(event_shape, dtype)` or array that broadcasts against [H, W, C]; 1 conditions.
          conditioner: callable from [N, H, W, C] to [N, H, W, 2C], shift first (C channels if `additive`); other batch
            shapes are flattened for it. The keywords `training` and `conditioning` [N, K] are passed if it takes them.
          shift_first: Python bool, the order of shift and scale.
          additive: Python bool; shift only (volume-preserving, as in NICE).
          gain: float, start of the learned scalar on tanh; the released program starts at 0 for checkerboard and at 1
            for channel couplings.
          offset: Python bool; add one learned scalar to s, as the released program does without batch norm.
          recompute_gradients: Python bool; keep only the input for the backward pass and compute the rest from it anew.
            A conditioner of one's own must answer the same twice, and move no state if `update_statistics` is False.
          dtype: of images and scalars.
          validate_args: Python bool.
          name: Python str.
        """
        parameters = dict(locals())
        check_mask(mask)
        if not callable(conditioner):
            raise TypeError(f"`conditioner`={conditioner!r}: must be callable, [N, H, W, C] -> [N, H, W, 2C].")
        check_not_keras_3("conditioner", conditioner)
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
            super().__init__(
                parameters=parameters,
                name=name,
                dtype=dtype,
                validate_args=validate_args,
                recompute_gradients=recompute_gradients,
            )
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
        update = update and not recomputing()  # For conditioners with statistics of their own.
        keywords = {"training": training, "update_statistics": update, "conditioning": conditioning}
        if conditioning is not None and "conditioning" not in self._conditioner_keywords:
            raise ValueError(f"{self.name}: `conditioning` was given, but the conditioner takes no such keyword.")
        outputs = x.shape[-1] * (1 if self.additive else 2)
        result = self._condition(x * mask, outputs, **{k: keywords[k] for k in self._conditioner_keywords})
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

    def _condition(self, x, outputs, conditioning=None, **keywords):
        """The conditioner's answer for images of any batch shape; it sees one batch axis, as Keras layers want."""
        batch, static_batch, event = tf.shape(x)[:-3], x.shape[:-3], x.shape[-3:]
        flat = tf.reshape(x, tf.concat([[-1], tf.shape(x)[-3:]], 0))
        flat = tf.ensure_shape(flat, [static_batch.num_elements(), *event])
        if conditioning is not None:
            keywords["conditioning"] = _flat_conditioning(conditioning, batch, static_batch)
        result = self.conditioner(flat, **keywords)
        if not tf.is_tensor(result):
            raise TypeError(
                f"{self.name}: `conditioner` answered with {type(result).__name__}: must be one tensor [N, H, W, "
                f"{outputs}]; concatenate shift and log-scale on the last axis."
            )
        if not result.shape.is_compatible_with([*flat.shape[:-1], outputs]):
            raise ValueError(
                f"{self.name}: `conditioner` answered with shape {result.shape}; for images of shape {flat.shape} it "
                f"must keep all axes but the last, and its last axis must be {outputs} "
                f"({'shift' if self.additive else 'shift, then log-scale'})."
            )
        result = tf.reshape(result, tf.concat([batch, tf.shape(x)[-3:-1], [outputs]], 0))
        return tf.ensure_shape(result, [*x.shape[:-1], outputs])


def _flat_conditioning(conditioning, batch, static_batch):
    """Conditioning [..., K] as [N, K] for the flattened batch."""
    conditioning = tf.convert_to_tensor(conditioning)
    shape = conditioning.shape
    if shape.rank is None or shape.rank < 1:
        raise ValueError(f"`conditioning` of shape {shape}: must be [..., K] of known rank, one vector an image.")
    try:
        fits = tf.broadcast_static_shape(shape[:-1], static_batch).is_compatible_with(static_batch)
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"`conditioning` of shape {shape}: all axes but the last must broadcast against the images' batch shape "
            f"{static_batch}; give one row an image."
        )
    flat = tf.broadcast_to(conditioning, tf.concat([batch, tf.shape(conditioning)[-1:]], 0))
    return tf.ensure_shape(tf.reshape(flat, [-1, tf.shape(conditioning)[-1]]), [static_batch.num_elements(), shape[-1]])


def _accepted_keywords(function):
    """Those of our keywords that a callable, or the `call` of a Keras layer, takes by name."""
    function = getattr(function, "call", function)
    accepted = inspect.signature(function).parameters
    return tuple(k for k in ("training", "update_statistics", "conditioning") if k in accepted)
