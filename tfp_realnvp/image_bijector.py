"""What all bijectors of this package with a network inside share: one evaluation, one list of keywords."""

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability.python.internal import cache_util  # The only use of TFP's internals.

from tfp_realnvp import health
from tfp_realnvp.checks import check_bool, check_input_type
from tfp_realnvp.recomputation import recomputed


class ImageBijector(tfp.bijectors.Bijector):
    """A bijector of images [..., H, W, C] whose value and log det come from one evaluation.

    A subclass writes two hooks:

        _forward_and_log_det(x, training, conditioning) -> y, log |det dy/dx|
        _inverse_and_log_det(y, training, conditioning) -> x, log |det dx/dy|

    with log dets that broadcast to the batch's shape. `forward` maps latents to images, `inverse` images to latents.
    Every public method takes two keywords, `training` (Python bool: normalise with the batch's statistics) and
    `conditioning` (a tensor [..., K], see `RealNVPImage`).

    Value and log det are cached under TFP's rule: for the same input *tensor*, while its output is alive. As with any
    TFP bijector of variables, an output that is held across an update of the variables is what a second call with the
    same tensor returns; pass `tf.identity(x)` to have it computed anew.
    NumPy arrays become a new tensor in every call: convert them first where value and log det are both wanted.

    Instances are equal only to themselves, since each owns its variables. `copy()` without arguments shares the
    variables; with arguments it builds a new bijector from the changed parameters.
    """

    _cache = cache_util.BijectorCacheWithGreedyAttrs(
        forward_name="_forward_with_attributes", inverse_name="_inverse_with_attributes"
    )

    def __init__(self, *, parameters, name, dtype=None, validate_args=False, recompute_gradients=False):
        check_bool("recompute_gradients", recompute_gradients)
        self._recompute_gradients = recompute_gradients
        super().__init__(
            forward_min_event_ndims=3, dtype=dtype, validate_args=validate_args, parameters=parameters, name=name
        )

    @classmethod
    def _parameter_properties(cls, dtype):
        return {}

    def _get_parameterization(self):
        return id(self)  # Two flows built with the same arguments have different weights.

    def copy(self, **override_parameters_kwargs):
        """Returns a bijector like this one.

        Args:
          **override_parameters_kwargs: constructor arguments to change. With any, a new bijector with variables of its
            own is built; without, the copy shares this one's variables.
        """
        if override_parameters_kwargs:
            return super().copy(**override_parameters_kwargs)
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    def forward(self, x, name="forward", **kwargs):
        """Latents to images."""
        check_input_type("x", x, self.dtype)
        return super().forward(x, name, **kwargs)

    def inverse(self, y, name="inverse", **kwargs):
        """Images to latents."""
        check_input_type("y", y, self.dtype)
        return super().inverse(y, name, **kwargs)

    def forward_log_det_jacobian(self, x, event_ndims=None, name="forward_log_det_jacobian", **kwargs):
        """log |det dy/dx|, in nats."""
        check_input_type("x", x, self.dtype)
        return super().forward_log_det_jacobian(x, event_ndims, name, **kwargs)

    def inverse_log_det_jacobian(self, y, event_ndims=None, name="inverse_log_det_jacobian", **kwargs):
        """log |det dx/dy|, in nats."""
        check_input_type("y", y, self.dtype)
        return super().inverse_log_det_jacobian(y, event_ndims, name, **kwargs)

    def _forward_with_attributes(self, x, training=False, conditioning=None):
        self._check_input(x, training)
        y, fldj = self._evaluate(self._forward_and_log_det, x, training, conditioning)
        return y, {"ildj": -fldj}

    def _inverse_with_attributes(self, y, training=False, conditioning=None):
        self._check_input(y, training)
        x, ildj = self._evaluate(self._inverse_and_log_det, y, training, conditioning)
        return x, {"ildj": ildj}

    def _evaluate(self, hook, value, training, conditioning):
        if not self._recompute_gradients:
            return hook(value, training=training, conditioning=conditioning)
        conditioning = None if conditioning is None else tf.convert_to_tensor(conditioning)
        if conditioning is None or not conditioning.dtype.is_floating:  # Nothing that has a gradient.
            return recomputed(lambda v: hook(v, training=training, conditioning=conditioning), value)
        return recomputed(lambda v, c: hook(v, training=training, conditioning=c), value, conditioning)

    def _forward_log_det_jacobian(self, x, **kwargs):
        return -self._forward_with_attributes(x, **kwargs)[1]["ildj"]

    def _inverse_log_det_jacobian(self, y, **kwargs):
        return self._inverse_with_attributes(y, **kwargs)[1]["ildj"]

    def _check_input(self, x, training):
        if x.shape.rank is None or x.shape.rank < 3 or x.shape[-1] is None:
            raise ValueError(
                f"{self.name}: input of shape {x.shape}: must be [..., H, W, C] with known rank and channels; set them "
                "with `tf.ensure_shape`."
            )
        if not isinstance(training, bool):
            raise TypeError(f"`training`={training!r}: must be a Python bool; it chooses the graph, not a value in it.")


class Composition(ImageBijector):
    """Bijectors one after the other: forward(x) = parts[0](parts[1](...(x))), as in `tfb.Chain`.

    Differs from `tfb.Chain` in that `training` and `conditioning` reach every `ImageBijector` among the parts without
    being addressed to it by name, and in noting each part's health for `FlowModel`.
    """

    def __init__(self, parts, *, name, parameters=None, dtype=None, validate_args=False):
        """Args: parts: bijectors, the one nearest the image first."""
        parameters = dict(locals()) if parameters is None else parameters
        if isinstance(parts, tfp.bijectors.Bijector) or not all(isinstance(p, tfp.bijectors.Bijector) for p in parts):
            raise TypeError(f"`parts`={parts!r}: must be a list of tfb.Bijectors, the one nearest the image first.")
        self.parts = list(parts)
        super().__init__(parameters=parameters, name=name, dtype=dtype, validate_args=validate_args)

    def _forward_and_log_det(self, x, **kwargs):
        return self._walk(reversed(self.parts), x, "forward", kwargs)

    def _inverse_and_log_det(self, y, **kwargs):
        return self._walk(self.parts, y, "inverse", kwargs)

    def _walk(self, parts, value, direction, kwargs):
        log_det = tf.zeros(tf.shape(value)[:-3], value.dtype)
        for part in parts:
            value, part_log_det = value_and_log_det(part, value, direction, **kwargs)
            log_det += part_log_det
            health.observe(_path(part), value, part_log_det)
        return value, log_det


def value_and_log_det(bijector, value, direction, **kwargs):
    """Returns `bijector.forward(value)` or `.inverse(value)`, and the log det summed over [H, W, C].

    Args:
      bijector: any `tfb.Bijector` on images; only an `ImageBijector` receives `kwargs`.
      value: tensor [..., H, W, C].
      direction: "forward" or "inverse".
      **kwargs: `training` and `conditioning`.
    """
    kwargs = kwargs if isinstance(bijector, ImageBijector) else {}
    result = getattr(bijector, direction)(value, **kwargs)
    return result, getattr(bijector, f"{direction}_log_det_jacobian")(value, event_ndims=3, **kwargs)


def bijector_kwargs(bijector, **kwargs):
    """Returns the `bijector_kwargs` of a distribution that bring `kwargs` to the `ImageBijector`s in its bijector.

    Args:
      bijector: an `ImageBijector`, a `tfb.Chain` that holds some, or anything else, which gets nothing.
      **kwargs: `training` and `conditioning`.
    """
    if isinstance(bijector, ImageBijector):
        return kwargs
    # Not isinstance(Chain): `tfb.Chain` of parts that are no composite tensors makes an object of its base class.
    return {part.name: kwargs for part in getattr(bijector, "bijectors", ()) if isinstance(part, ImageBijector)}


def image_log_prob(distribution, pixels, *, training, conditioning=None):
    """Returns `distribution.log_prob(pixels)`, nats, with the keywords brought to its `ImageBijector`s.

    Args:
      distribution: any `tfd.Distribution` over images.
      pixels: tensor [N, H, W, C].
      training: Python bool.
      conditioning: tensor [N, K] or None.
    """
    keywords = bijector_kwargs(getattr(distribution, "bijector", None), training=training, conditioning=conditioning)
    if keywords:
        return distribution.log_prob(pixels, bijector_kwargs=keywords)
    if conditioning is not None:
        raise ValueError(
            f"data are pairs (images, conditioning), but {distribution} takes no conditioning; pass images alone."
        )
    return distribution.log_prob(pixels)


def _path(bijector):
    return bijector._constructor_name_scope.rstrip("/") or bijector.name
