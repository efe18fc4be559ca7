"""Bijectors one after the other."""

from collections.abc import Iterable, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.bijectors.image_bijector import ImageBijector, ValueAndLogDet, value_and_log_det
from tfp_realnvp.runtime.observation import observe


class Composition(ImageBijector):
    """Bijectors one after the other, as in `tfb.Chain`: [..., H, W, C] to what the parts make of it.

        forward:  y = parts[0](parts[1](... parts[-1](x)))
        inverse:  x = parts[-1].inverse(... parts[1].inverse(parts[0].inverse(y)))
        log |det dy/dx| = sum of the parts' forward log dets, each at its own input
        log |det dx/dy| = sum of the parts' inverse log dets, each at its own input

    Unlike `tfb.Chain`, it brings `training` and `conditioning` to every `ImageBijector` among the parts without their
    names being given, and it tells a `FlowModel` whether each part's output was finite.

    >>> shift_then_scale = Composition([tfb.Scale(2.0), tfb.Shift(1.0)], name="shift_then_scale")
    >>> shift_then_scale.forward(tf.ones([1, 1, 1])).numpy().ravel()
    array([4.], dtype=float32)
    """

    def __init__(
        self,
        parts: Sequence[tfp.bijectors.Bijector],
        *,
        name: str,
        parameters: dict[str, Any] | None = None,
        dtype: tf.DType | None = None,
        validate_args: bool = False,
    ) -> None:
        """Builds the bijector.

        Args:
          parts: list of bijectors; the first one is nearest to the image.
          name: Python str.
          parameters: for subclasses, the arguments of their constructors.
          dtype: of images and latents; None for any.
          validate_args: Python bool.

        Raises:
          TypeError: if `parts` holds anything but bijectors.
        """
        parameters = dict(locals()) if parameters is None else parameters
        if isinstance(parts, tfp.bijectors.Bijector) or not all(isinstance(p, tfp.bijectors.Bijector) for p in parts):
            raise TypeError(f"`parts`={parts!r}: must be a list of tfb.Bijectors, the one nearest the image first.")
        self.parts = list(parts)
        super().__init__(parameters=parameters, name=name, dtype=dtype, validate_args=validate_args)

    @property
    def regularized_variables(self) -> tuple[tf.Variable, ...]:
        """The variables that training penalises: those that the layers in the parts name as theirs."""
        layers = (module for module in self.submodules if not isinstance(module, Composition))
        return tuple(v for layer in layers for v in getattr(layer, "regularized_variables", ()))

    def _forward_event_shape(self, shape: tf.TensorShape) -> tf.TensorShape:
        shape = super()._forward_event_shape(shape)
        for part in reversed(self.parts):
            shape = part.forward_event_shape(shape)
        return shape

    def _inverse_event_shape(self, shape: tf.TensorShape) -> tf.TensorShape:
        shape = super()._inverse_event_shape(shape)
        for part in self.parts:
            shape = part.inverse_event_shape(shape)
        return shape

    def _forward_event_shape_tensor(self, shape: tf.Tensor) -> tf.Tensor:
        for part in reversed(self.parts):
            shape = part.forward_event_shape_tensor(shape)
        return shape

    def _inverse_event_shape_tensor(self, shape: tf.Tensor) -> tf.Tensor:
        for part in self.parts:
            shape = part.inverse_event_shape_tensor(shape)
        return shape

    def _forward_and_log_det(self, x: tf.Tensor, **keywords: Any) -> ValueAndLogDet:
        return self._apply(reversed(self.parts), x, "forward", keywords)

    def _inverse_and_log_det(self, y: tf.Tensor, **keywords: Any) -> ValueAndLogDet:
        return self._apply(self.parts, y, "inverse", keywords)

    def _apply(
        self, parts: Iterable[tfp.bijectors.Bijector], value: tf.Tensor, direction: str, keywords: dict[str, Any]
    ) -> ValueAndLogDet:
        log_det = tf.zeros(tf.shape(value)[:-3], value.dtype)
        for part in parts:
            value, part_log_det = value_and_log_det(part, value, direction, **keywords)
            log_det += part_log_det
            observe(_path(part), value, part_log_det)
        return value, log_det


def _path(bijector: tfp.bijectors.Bijector) -> str:
    """The name that the bijector's variables begin with."""
    return bijector._constructor_name_scope.rstrip("/") or bijector.name
