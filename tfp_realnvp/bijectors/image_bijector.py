"""What all bijectors of this package with a network inside share: one evaluation, and two keywords."""

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability.python.internal import cache_util  # Internal to TFP, and imported here alone.

from tfp_realnvp.checks import check_bool, check_event_rank, check_image_rank, check_input_type
from tfp_realnvp.keywords import TakesKeywords, check_keywords, check_training
from tfp_realnvp.runtime.recomputation import recomputed

ValueAndLogDet = tuple[tf.Tensor, tf.Tensor]


class ImageBijector(TakesKeywords, tfp.bijectors.Bijector):
    """A bijector of images [..., H, W, C] whose value and log det come from one evaluation.

    `forward` maps latents to images, `inverse` maps images to latents. A subclass writes two hooks:

        _forward_and_log_det(x, training, conditioning) -> y, log |det dy/dx|
        _inverse_and_log_det(y, training, conditioning) -> x, log |det dx/dy|

    The log dets, in nats, broadcast to the batch's shape. Every public method takes the keywords `training` and
    `conditioning`, see `tfp_realnvp.keywords`.

    Value and log det are cached by TFP's rule: for the same input *tensor*, as long as its output is alive. As with any
    TFP bijector of variables, a second call with the same tensor returns an output that is still held, even if the
    variables were updated in between; pass `tf.identity(x)` to have it computed anew. A NumPy array becomes a new
    tensor in every call: convert it first if you want both value and log det.

    Instances are equal only to themselves, since each owns its variables. `copy()` without arguments and an index of
    `...` or `tf.newaxis` share the variables; `copy` with arguments builds a new bijector from the changed parameters.
    """

    _cache = cache_util.BijectorCacheWithGreedyAttrs(
        forward_name="_forward_with_attributes", inverse_name="_inverse_with_attributes"
    )

    def __init__(
        self,
        *,
        parameters: dict[str, Any],
        name: str,
        dtype: tf.DType | None = None,
        validate_args: bool = False,
        recompute_gradients: bool = False,
    ) -> None:
        """Builds the bijector.

        Args:
          parameters: dict, the arguments of the subclass's constructor: its `dict(locals())`.
          name: Python str.
          dtype: of images and latents; None for any.
          validate_args: Python bool; check values at run time.
          recompute_gradients: Python bool; keep only the input for the backward pass and compute the rest from it anew.
        """
        check_bool("recompute_gradients", recompute_gradients)
        self._recompute_gradients = recompute_gradients
        super().__init__(
            forward_min_event_ndims=3, dtype=dtype, validate_args=validate_args, parameters=parameters, name=name
        )

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict[str, Any]:
        return {}

    def _get_parameterization(self) -> int:
        return id(self)  # Two flows that are built with the same arguments have different weights.

    def copy(self, **override_parameters_kwargs: Any) -> "ImageBijector":
        """Returns a bijector like this one.

        Args:
          **override_parameters_kwargs: constructor arguments to change. With any, the result is a new bijector with
            variables of its own; without, it shares this one's variables.
        """
        if override_parameters_kwargs:
            return super().copy(**override_parameters_kwargs)
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    def __getitem__(self, slices: Any) -> "ImageBijector":
        """Returns a bijector that shares this one's variables; there is no batch of bijectors to take one from.

        Args:
          slices: `...` and `tf.newaxis` in any number, which broadcast the bijector and leave it what it is.

        Raises:
          ValueError: for any other index.
        """
        indices = slices if isinstance(slices, tuple) else (slices,)
        if any(index is not Ellipsis and index is not tf.newaxis for index in indices):
            raise ValueError(
                f"`slices`={slices!r}: must be `...` or `tf.newaxis`, since {self.name} is one bijector of batch shape "
                "[] and not a batch of them; index the images or latents instead."
            )
        return self.copy()  # TFP would build another bijector here, whose variables are at their start.

    def _broadcast_parameters_with_batch_shape(self, batch_shape: Any, x_event_ndims: Any) -> "ImageBijector":
        # TFP asks for this before it indexes a distribution or a `tfb.Chain` of batch shape [], and then builds what it
        # gets anew from its `parameters`. Those of the result hold this bijector, so that its variables are kept.
        return _Holder(self) if tf.convert_to_tensor(batch_shape).shape == [0] else self

    def forward(self, x: Any, name: str = "forward", **kwargs: Any) -> tf.Tensor:
        """Maps latents to images."""
        self._check_call("x", x, kwargs)
        return super().forward(x, name, **kwargs)

    def inverse(self, y: Any, name: str = "inverse", **kwargs: Any) -> tf.Tensor:
        """Maps images to latents."""
        self._check_call("y", y, kwargs)
        return super().inverse(y, name, **kwargs)

    def forward_log_det_jacobian(
        self, x: Any, event_ndims: int | None = None, name: str = "forward_log_det_jacobian", **kwargs: Any
    ) -> tf.Tensor:
        """Returns log |det dy/dx|, in nats."""
        self._check_call("x", x, kwargs)
        return super().forward_log_det_jacobian(x, event_ndims, name, **kwargs)

    def inverse_log_det_jacobian(
        self, y: Any, event_ndims: int | None = None, name: str = "inverse_log_det_jacobian", **kwargs: Any
    ) -> tf.Tensor:
        """Returns log |det dx/dy|, in nats."""
        self._check_call("y", y, kwargs)
        return super().inverse_log_det_jacobian(y, event_ndims, name, **kwargs)

    def _check_call(self, argument: str, value: Any, keywords: dict[str, Any]) -> None:
        """Raises TypeError for an input of another type, or a keyword that nobody takes."""
        check_keywords(self.name, keywords)
        check_input_type(argument, value, self.dtype)

    def _forward_with_attributes(
        self, x: tf.Tensor, training: bool = False, conditioning: Any = None
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        y, fldj = self._evaluate(self._forward_and_log_det, x, training, conditioning)
        return y, {"ildj": -fldj}

    def _inverse_with_attributes(
        self, y: tf.Tensor, training: bool = False, conditioning: Any = None
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        x, ildj = self._evaluate(self._inverse_and_log_det, y, training, conditioning)
        return x, {"ildj": ildj}

    def _evaluate(self, hook: Any, value: tf.Tensor, training: bool, conditioning: Any) -> ValueAndLogDet:
        check_image_rank(f"{self.name}: input", value.shape)
        self._check_shape("input", value.shape)
        check_training(training)
        if not self._recompute_gradients:
            return hook(value, training=training, conditioning=conditioning)
        conditioning = None if conditioning is None else tf.convert_to_tensor(conditioning)
        if conditioning is None or not conditioning.dtype.is_floating:  # It has no gradient.
            return recomputed(lambda v: hook(v, training=training, conditioning=conditioning), value)
        return recomputed(lambda v, c: hook(v, training=training, conditioning=c), value, conditioning)

    def _forward_event_shape(self, shape: tf.TensorShape) -> tf.TensorShape:
        # Checked here too, so that a prior of a shape that can't be mapped is refused before any image arrives.
        check_event_rank(f"{self.name}: event", shape)
        if shape.rank is not None:
            self._check_shape("event", shape)
        return shape

    _inverse_event_shape = _forward_event_shape

    def _check_shape(self, what: str, shape: tf.TensorShape) -> None:
        """Raises ValueError unless this bijector takes images of `shape` [..., H, W, C]; a subclass may refuse some."""

    def _forward_log_det_jacobian(self, x: tf.Tensor, **kwargs: Any) -> tf.Tensor:
        return -self._forward_with_attributes(x, **kwargs)[1]["ildj"]

    def _inverse_log_det_jacobian(self, y: tf.Tensor, **kwargs: Any) -> tf.Tensor:
        return self._inverse_with_attributes(y, **kwargs)[1]["ildj"]


class _Holder(ImageBijector):
    """Does what the bijector does that is its parameter."""

    def __init__(self, bijector: ImageBijector) -> None:
        """Builds no variables: those of `bijector` are used."""
        parameters = dict(locals())
        self.bijector = bijector
        super().__init__(parameters=parameters, name=bijector.name, dtype=bijector.dtype)

    def _forward_event_shape(self, shape: tf.TensorShape) -> tf.TensorShape:
        return self.bijector.forward_event_shape(shape)

    def _inverse_event_shape(self, shape: tf.TensorShape) -> tf.TensorShape:
        return self.bijector.inverse_event_shape(shape)

    def _forward_event_shape_tensor(self, shape: tf.Tensor) -> tf.Tensor:
        return self.bijector.forward_event_shape_tensor(shape)

    def _inverse_event_shape_tensor(self, shape: tf.Tensor) -> tf.Tensor:
        return self.bijector.inverse_event_shape_tensor(shape)

    def _forward_and_log_det(self, x: tf.Tensor, **keywords: Any) -> ValueAndLogDet:
        return value_and_log_det(self.bijector, x, "forward", **keywords)

    def _inverse_and_log_det(self, y: tf.Tensor, **keywords: Any) -> ValueAndLogDet:
        return value_and_log_det(self.bijector, y, "inverse", **keywords)


def value_and_log_det(
    bijector: tfp.bijectors.Bijector, value: tf.Tensor, direction: str, **keywords: Any
) -> ValueAndLogDet:
    """Returns `bijector.forward(value)` or `.inverse(value)`, and the log det summed over [H, W, C].

    Args:
      bijector: any `tfb.Bijector` on images; only an `ImageBijector` receives the keywords.
      value: tensor [..., H, W, C].
      direction: "forward" or "inverse".
      **keywords: `training` and `conditioning`.
    """
    keywords = keywords if isinstance(bijector, TakesKeywords) else {}
    result = getattr(bijector, direction)(value, **keywords)
    return result, getattr(bijector, f"{direction}_log_det_jacobian")(value, event_ndims=3, **keywords)


def image_log_det(per_channel: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
    """Returns the log det [...] of a map with the same log-scales [C] at all pixels of `images` [..., H, W, C]."""
    shape = tf.shape(images)
    return tf.fill(shape[:-3], tf.cast(shape[-3] * shape[-2], images.dtype) * tf.reduce_sum(per_channel))
