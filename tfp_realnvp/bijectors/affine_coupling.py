"""The affine coupling (paper, sections 3.2 to 3.4)."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfp_realnvp.bijectors.image_bijector import ImageBijector, ValueAndLogDet
from tfp_realnvp.bijectors.masks import ChannelHalves, Checkerboard, Mask, check_mask, evaluate_mask, image_shape
from tfp_realnvp.checks import check_bool, check_float_type, check_not_keras_3, check_number
from tfp_realnvp.keywords import (
    check_conditioning,
    conditioner_keywords,
    conditioning_of_conditioner,
    flat_conditioning,
)
from tfp_realnvp.runtime.recomputation import recomputing


class AffineCoupling(ImageBijector):
    """Changes one part of an image [..., H, W, C] by a shift and a scale computed from the other part.

        shift, raw = conditioner(mask * y)          mask: 1 where it conditions
        log_scale = gain * tanh(raw) [+ offset]     gain and offset: one learned scalar each
                  = bound * tanh(raw / bound)       with `log_scale_bound`
        inverse:  x = mask * y + (1 - mask) * (y * exp(log_scale) + shift)     scale first, as in the paper
                  x = mask * y + (1 - mask) * (y + shift) * exp(log_scale)     shift first, as in the released program
        forward:  y = mask * x + (1 - mask) * (x - shift) * exp(-log_scale)
                  y = mask * x + (1 - mask) * (x * exp(-log_scale) - shift)
        log |det dx/dy| = sum((1 - mask) * log_scale) = -log |det dy/dx|

    `inverse` maps images to latents (the paper's f); `forward` undoes it with the same shift and log-scale, since
    mask * x = mask * y. The network runs once for value and log det.

    >>> coupling = AffineCoupling(Checkerboard(), lambda h: tf.concat([h + 1, h], -1))
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
        mask: Mask,
        conditioner: Callable,
        *,
        shift_first: bool = False,
        additive: bool = False,
        gain: float = 1.0,
        offset: bool = False,
        log_scale_bound: float | None = None,
        recompute_gradients: bool = False,
        dtype: tf.DType = tf.float32,
        validate_args: bool = False,
        name: str = "affine_coupling",
    ) -> None:
        """Builds the coupling and its scalar variables.

        Args:
          mask: callable `mask(event_shape, dtype)` or array that broadcasts against [H, W, C]; 1 conditions.
          conditioner: callable from [N, H, W, C] to [N, H, W, 2C], shift first (C channels if `additive`). With
            `ChannelHalves` it may answer for the channels that change alone, if its attribute `num_answers` says that
            these are all that it answers with. Batches of another shape are flattened for it. It gets `training` and
            `conditioning` if its parameters name them, see `tfp_realnvp.keywords`.
          shift_first: Python bool, the order of shift and scale.
          additive: Python bool; shift only (volume-preserving, as in NICE).
          gain: float, start of the learned scalar on tanh; the released program starts at 0 for checkerboard and at 1
            for channel couplings.
          offset: Python bool; add one learned scalar to the log-scale, as the released program does without batch norm.
          log_scale_bound: float above 0, or None; the log-scale is then the network's own, softly held within
            (-bound, bound), and there is no learned gain. A conditioner that starts at 0 so gives a coupling that
            starts as the identity.
          recompute_gradients: Python bool; keep only the input for the backward pass and compute the rest from it anew.
            A conditioner of your own must then return the same in both evaluations, and move no state if its keyword
            `update_statistics` is False.
          dtype: of images and scalars.
          validate_args: Python bool.
          name: Python str.

        Raises:
          ValueError, TypeError: for an argument out of range or of another type.
        """
        parameters = dict(locals())
        check_mask(mask)
        if not callable(conditioner):
            raise TypeError(f"`conditioner`={conditioner!r}: must be callable, [N, H, W, C] -> [N, H, W, 2C].")
        check_not_keras_3("conditioner", conditioner)
        for option, value in (("shift_first", shift_first), ("additive", additive), ("offset", offset)):
            check_bool(option, value)
        check_number("gain", gain, lambda x: True, "a finite number, e.g. 1.0")
        if log_scale_bound is not None:
            check_number("log_scale_bound", log_scale_bound, lambda b: b > 0, "above 0, e.g. 2.0, or None")
            if additive or offset or gain != 1.0:
                raise ValueError(
                    f"`log_scale_bound`={log_scale_bound}: must come without `additive`, `gain` and `offset`, which "
                    "are for other log-scales, or for none; leave them out."
                )
        check_float_type("dtype", dtype)
        self._conditioner_keywords = conditioner_keywords(conditioner)
        self._conditioning = conditioning_of_conditioner(conditioner)
        with tf.name_scope(name) as name:
            self.mask = mask
            self.conditioner = conditioner
            self.shift_first = shift_first
            self.additive = additive
            self.log_scale_bound = log_scale_bound
            has_gain = not additive and log_scale_bound is None
            self.log_scale_gain = tf.Variable(gain, dtype=dtype, name="log_scale_gain") if has_gain else None
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

    @property
    def regularized_variables(self) -> tuple[tf.Variable, ...]:
        """The gain of a checkerboard's tanh; that of a channel coupling is not penalised (released program)."""
        penalised = self.log_scale_gain is not None and isinstance(self.mask, Checkerboard)
        return (self.log_scale_gain,) if penalised else ()

    def _forward_and_log_det(self, x: tf.Tensor, **keywords: Any) -> ValueAndLogDet:
        shift, log_scale = self._shift_and_log_scale(x, update_statistics=False, **keywords)
        before, changed, after = self._parts(x)
        scale = tf.exp(-log_scale)
        changed = changed * scale - shift if self.shift_first else (changed - shift) * scale
        return _join(before, changed, after), -tf.reduce_sum(log_scale, [-3, -2, -1])

    def _inverse_and_log_det(self, y: tf.Tensor, **keywords: Any) -> ValueAndLogDet:
        shift, log_scale = self._shift_and_log_scale(y, update_statistics=not recomputing(), **keywords)
        before, changed, after = self._parts(y)
        scale = tf.exp(log_scale)
        changed = (changed + shift) * scale if self.shift_first else changed * scale + shift
        return _join(before, changed, after), tf.reduce_sum(log_scale, [-3, -2, -1])

    def _parts(self, x: tf.Tensor) -> list[tf.Tensor]:
        """Returns the channels before those that change, those that change, and those after them.

        Where positions change and not channels, all channels are of the second part, with positions that stay.
        """
        if not isinstance(self.mask, ChannelHalves):
            return [x[..., :0], x, x[..., :0]]
        channels = x.shape[-1]
        changed = self.mask.changed_channels(channels)
        return tf.split(x, [changed.start, changed.stop - changed.start, channels - changed.stop], -1)

    def _shift_and_log_scale(
        self, x: tf.Tensor, *, training: bool, update_statistics: bool, conditioning: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns shift and log-scale of the channels that change, both 0 at positions where the mask is 1."""
        mask = evaluate_mask(self.mask, image_shape(x), x.dtype)
        given = {"training": training, "update_statistics": update_statistics, "conditioning": conditioning}
        answer = tf.cast(self._condition(x * mask, given), x.dtype)
        answers = [answer] if self.additive else tf.split(answer, 2, axis=-1)
        if isinstance(self.mask, ChannelHalves) and answers[0].shape[-1] == x.shape[-1]:
            answers = [self._parts(part)[1] for part in answers]  # The conditioner answered for all channels.
        if self.additive:
            shift, log_scale = answers[0], tf.zeros_like(answers[0])
        else:
            shift, log_scale = answers[0], self._log_scale(answers[1])
        if isinstance(self.mask, ChannelHalves):
            return shift, log_scale
        return shift * (1 - mask), log_scale * (1 - mask)

    def _log_scale(self, raw: tf.Tensor) -> tf.Tensor:
        if self.log_scale_bound is not None:
            return self.log_scale_bound * tf.tanh(raw / self.log_scale_bound)
        log_scale = self.log_scale_gain * tf.tanh(raw)
        return log_scale if self.log_scale_offset is None else log_scale + self.log_scale_offset

    def _condition(self, x: tf.Tensor, keywords: dict[str, Any]) -> tf.Tensor:
        """Returns the conditioner's answer for images of any batch shape; the conditioner sees one batch axis."""
        batch, static_batch, event = tf.shape(x)[:-3], x.shape[:-3], x.shape[-3:]
        flat = tf.reshape(x, tf.concat([[-1], tf.shape(x)[-3:]], 0))
        flat = tf.ensure_shape(flat, [static_batch.num_elements(), *event])
        conditioning = keywords["conditioning"]
        if conditioning is not None:
            conditioning = tf.convert_to_tensor(conditioning)
        shape = None if conditioning is None else conditioning.shape
        check_conditioning(f"{self.name}: `conditioning`", shape, self._conditioning)
        if conditioning is not None:
            keywords["conditioning"] = flat_conditioning(conditioning, batch, static_batch)
        result = self.conditioner(flat, **{name: keywords[name] for name in self._conditioner_keywords})
        answers = 1 if self.additive else 2
        most = answers * x.shape[-1]
        if not tf.is_tensor(result):
            raise TypeError(
                f"{self.name}: `conditioner` answered with {type(result).__name__}: must be one tensor [N, H, W, "
                f"{most}]; concatenate shift and log-scale on the last axis."
            )
        short = answers * self._parts(x)[1].shape[-1]
        size = short if getattr(self.conditioner, "num_answers", most) == short else most
        if not result.shape.is_compatible_with([*flat.shape[:-1], size]):
            raise ValueError(
                f"{self.name}: `conditioner` answered with shape {result.shape}; for images of shape {flat.shape} it "
                f"must keep all axes but the last, and its last axis must be {size} "
                f"({'shift' if self.additive else 'shift, then log-scale'})."
            )
        result = tf.reshape(result, tf.concat([batch, tf.shape(x)[-3:-1], [size]], 0))
        return tf.ensure_shape(result, [*x.shape[:-1], size])


def _join(*parts: tf.Tensor) -> tf.Tensor:
    return tf.concat([part for part in parts if part.shape[-1] != 0], -1)
