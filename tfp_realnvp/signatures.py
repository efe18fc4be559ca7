"""What a served distribution answers to: the signatures of its SavedModel, and the checks of each request."""

import inspect
import types
from typing import Any, NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.checks import check_distribution, check_finite, check_int
from tfp_realnvp.image_bijector import bijector_kwargs, image_log_prob
from tfp_realnvp.likelihood import bits_per_dim
from tfp_realnvp.pixel_logit import check_levels, dequantize, quantize

_ANY_KIND = inspect.Parameter.POSITIONAL_OR_KEYWORD


class Input(NamedTuple):
    """An input of a signature; one without a default must be in every request."""

    spec: tf.TensorSpec
    meaning: str
    default: tf.Tensor | None = None


class Signature(NamedTuple):
    """A function of the inputs, and the units of its outputs."""

    function: tf.types.experimental.PolymorphicFunction
    inputs: dict[str, Input]
    outputs: dict[str, str]


class Signatures(tf.Module):
    """The signatures of a distribution over images, see `export_saved_model`.

    Requests are checked in the graph, by assertions whose message names the input: a server has no Python.
    """

    def __init__(self, distribution, *, levels=None, max_values=2**22):
        """See `export_saved_model`."""
        super().__init__(name="signatures")
        check_distribution(distribution)
        check_finite(distribution)
        parts = distribution.submodules
        if levels is None:
            levels = next((part.levels for part in parts if isinstance(getattr(part, "levels", None), int)), 256)
        check_levels(levels)
        check_int("max_values", max_values, 1, 2**31 - 1, "the largest request, in N * H * W * C")
        self.distribution = distribution
        self.levels = levels
        self.max_values = max_values
        self._bijector: Any = getattr(distribution, "bijector", None)
        self._base: Any = getattr(distribution, "distribution", None)
        sizes = (getattr(part, "conditioning_size", None) for part in parts)
        self.conditioning_size = next((size for size in sizes if size is not None), None)
        self._divisor = getattr(self._bijector, "size_divisor", None)
        scalars = isinstance(self._base, tfp.distributions.Sample) and self._base.distribution.event_shape.rank == 0
        self._any_size = self._divisor is not None and scalars
        height, width, channels = distribution.event_shape
        self._shape = [None, None, None, channels] if self._any_size else [None, height, width, channels]
        # The network each way, once for all signatures.
        specs = [tf.TensorSpec(self._shape, distribution.dtype)]
        if self.conditioning_size is not None:
            specs.append(tf.TensorSpec([None, self.conditioning_size], distribution.dtype))
        self._inverse = tf.function(self._latents_and_log_prob, input_signature=specs, autograph=False)
        if self._bijector is not None:
            self._forward = tf.function(self._pixels, input_signature=specs, autograph=False)
        self.table = types.MappingProxyType(self._make_table())  # Not a dict, whose contents TensorFlow would save.
        for name, signature in self.table.items():
            # Methods of what `tf.saved_model.load` gives, which know the defaults.
            setattr(self, name, signature.function)

    def _make_table(self):
        height, width, _ = self.distribution.event_shape
        floats = self.distribution.dtype
        whole = tf.uint8 if self.levels <= 256 else tf.uint16
        values = f"values in [0, {self.levels})"
        seed = {"seed": Input(tf.TensorSpec([2], tf.int32), "two numbers that select the noise", tf.constant([0, 0]))}
        dequantize = {"dequantize": Input(tf.TensorSpec([], tf.bool), "add noise in [0, 1)", tf.constant(True))}
        coded = {"pixels": Input(tf.TensorSpec(self._shape, whole), f"whole numbers, {values}")}
        real = {"pixels": Input(tf.TensorSpec(self._shape, tf.float32), values)}
        latents = {"latents": Input(tf.TensorSpec(self._shape, floats), "standard deviations of the prior")}
        count = {"count": Input(tf.TensorSpec([], tf.int32), "number of images")}
        conditioning, drawn = {}, dict(seed)
        if self.conditioning_size is not None:
            spec = tf.TensorSpec([None, self.conditioning_size], floats)
            conditioning = {"conditioning": Input(spec, "a row an image; classes are one-hot vectors")}
        if self._bijector is not None:
            scalar = tf.TensorSpec([], tf.float32)
            drawn["temperature"] = Input(scalar, "factor on the prior's standard deviation", tf.constant(1.0))
        if self._any_size:
            unit = f"pixels, a multiple of {self._divisor}"
            for name, size in (("height", height), ("width", width)):
                drawn[name] = Input(tf.TensorSpec([], tf.int32), unit, tf.constant(size))
        scores = {"log_prob": "nats per image", "bits_per_dim": "bits per dimension, of each image"}
        bodies: dict[str, tuple] = {
            "serving_default": (self._score, real | conditioning | seed | dequantize, scores),
            f"serving_{whole.name}": (self._score, coded | conditioning | seed, scores),
            "score": (self._score, real | conditioning, scores),
            "sample": (self._sample, count | conditioning | drawn, {"pixels": coded["pixels"].meaning}),
        }
        if self._bijector is not None:
            prior = {"latents": latents["latents"].meaning}
            bodies["encode"] = (self._encode, real | conditioning | seed | dequantize, prior)
            bodies["decode"] = (self._decode, latents | conditioning, {"pixels": coded["pixels"].meaning})
        table = {n: Signature(_function(n, body, i), i, outputs) for n, (body, i, outputs) in bodies.items()}
        units = {f"{n} {k}: {unit}": unit for n, signature in table.items() for k, unit in _units(signature)}
        tell = _function("units", lambda: {k: tf.constant(unit) for k, unit in units.items()}, {})
        return table | {"units": Signature(tell, {}, {})}

    # --- Answers.

    def _score(self, pixels, seed=(0, 0), dequantize=True, conditioning=None):
        pixels, *condition = self._checked_pixels(pixels, seed, dequantize, conditioning)
        log_prob = self._inverse(pixels, *condition)["log_prob"]
        return {"log_prob": log_prob, "bits_per_dim": bits_per_dim(log_prob, tf.shape(pixels)[1:])}

    def _encode(self, pixels, seed, dequantize, conditioning=None):
        return {"latents": self._inverse(*self._checked_pixels(pixels, seed, dequantize, conditioning))["latents"]}

    def _decode(self, latents, conditioning=None):
        latents = self._checked_images("latents", latents)
        fine = tf.reduce_all(tf.math.is_finite(latents))
        latents = _require(latents, fine, "`latents` holds values that are not finite; send finite numbers")
        return {"pixels": self._forward(latents, *self._checked_conditioning(conditioning, tf.shape(latents)[0]))}

    def _sample(self, count, seed, temperature=None, height=None, width=None, conditioning=None):
        count = _require(count, count >= 1, "`count`={}: must be 1 or more, the number of images", count)
        shape = self.distribution.event_shape.as_list()
        if self._any_size:
            for name, size in (("height", height), ("width", width)):
                rule = f"`{name}`={{}}: must be a multiple of {self._divisor}, from {self._divisor} on"
                count = _require(count, (size >= self._divisor) & (size % self._divisor == 0), rule, size)
            shape = tf.stack([height, width, shape[-1]])
        if temperature is not None:
            fine = tf.math.is_finite(temperature) & (temperature > 0)
            count = _require(count, fine, "`temperature`={}: must be a finite number above 0", temperature)
        count = self._require_small(count, "count", count, shape)
        condition = self._checked_conditioning(conditioning, count)
        if self._bijector is None:
            return {"pixels": self._quantized(self.distribution.sample(count, seed=seed))}
        base = self._base.copy(sample_shape=shape) if self._any_size else self._base
        latents = tf.cast(temperature, self._base.dtype) * base.sample(count, seed=seed)
        return {"pixels": self._forward(tf.ensure_shape(latents, self._shape), *condition)}

    def _latents_and_log_prob(self, pixels, conditioning=None):
        distribution = self.distribution
        if self._any_size:
            base = self._base.copy(sample_shape=tf.shape(pixels)[1:])
            distribution = distribution.copy(distribution=base)
        log_prob = image_log_prob(distribution, pixels, training=False, conditioning=conditioning)
        rule = "`pixels` have a log_prob that is not a number: the model fails on them; send others, or mend the model"
        log_prob = _require(log_prob, ~tf.reduce_any(tf.math.is_nan(log_prob)), rule)
        if self._bijector is None:
            return {"log_prob": log_prob}
        keywords = bijector_kwargs(self._bijector, training=False, conditioning=conditioning)
        return {"log_prob": log_prob, "latents": self._bijector.inverse(pixels, **keywords)}  # From the cache.

    def _pixels(self, latents, conditioning=None):
        keywords = bijector_kwargs(self._bijector, training=False, conditioning=conditioning)
        return self._quantized(self._bijector.forward(latents, **keywords))

    def _quantized(self, pixels):
        rule = "pixels that are not numbers, from `latents` or a `temperature` that are too large; send smaller ones"
        pixels = _require(pixels, ~tf.reduce_any(tf.math.is_nan(pixels)), rule)  # A NaN would be cast to any pixel.
        return quantize(pixels, self.levels)

    # --- Checks, each of which gives back what it has checked.

    def _checked_images(self, name, images):
        size = tf.shape(images)
        rule = f"`{name}` of shape {{}}: must be [N, H, W, C] with N of 1 or more"
        images = _require(images, size[0] >= 1, rule, size)
        if self._any_size:
            fits = tf.reduce_all((size[1:3] >= self._divisor) & (size[1:3] % self._divisor == 0))
            images = _require(images, fits, f"{rule}, H and W multiples of {self._divisor}; resize or crop", size)
        return self._require_small(images, name, size[0], size[1:])

    def _checked_pixels(self, pixels, seed, add_noise, conditioning):
        images = tf.cast(self._checked_images("pixels", pixels), tf.float32)
        fine = tf.reduce_all((images >= 0) & (images < self.levels))  # Not so for a NaN either.
        rule = f"`pixels` holds values from {{}} to {{}}: must lie in [0, {self.levels}), neither scaled nor centred"
        images = _require(images, fine, rule, tf.reduce_min(images), tf.reduce_max(images))
        if pixels.dtype.is_floating:
            fine = tf.logical_not(add_noise) | tf.reduce_all(tf.equal(images, tf.floor(images)))
            rule = "`pixels` holds fractions: must be whole numbers, or have noise already, with `dequantize` false"
            images = _require(images, fine, rule)
        images = tf.where(add_noise, dequantize(images, self.levels, seed=seed), images)
        condition = self._checked_conditioning(conditioning, tf.shape(images)[0])
        return tf.cast(images, self.distribution.dtype), *condition

    def _checked_conditioning(self, conditioning, count):
        """The conditioning in a list, which is empty for a flow without."""
        if conditioning is None:
            return []
        shape = tf.shape(conditioning)
        rule = "`conditioning` of shape {}: must have a row for each of {} images"
        conditioning = _require(conditioning, tf.equal(shape[0], count), rule, shape, count)
        rule = "`conditioning` holds values that are not finite; send finite numbers"
        conditioning = _require(conditioning, tf.reduce_all(tf.math.is_finite(conditioning)), rule)
        return [conditioning]

    def _require_small(self, value, name, count, shape):
        values = tf.reduce_prod(tf.cast(tf.concat([[count], shape], 0), tf.float64))  # Which does not overflow.
        rule = f"`{name}`: {{}} images of shape {{}} are more than {self.max_values} values; send several requests"
        return _require(value, values <= self.max_values, rule, count, shape)


def _require(value, condition, rule, *values):
    """Returns `value`, once `condition` holds; else the request fails with the formatted `rule`."""
    message = tf.strings.format(rule, values, summarize=8) if values else tf.constant(rule)
    with tf.control_dependencies([tf.debugging.Assert(condition, [message])]):
        return tf.identity(value)


def _function(name, body, inputs):
    """A `tf.function` of `inputs`, whose defaults a SavedModel keeps."""

    def call(*args):
        # A server feeds any shape; the name of the node that refuses it is in the error.
        named = {
            k: tf.ensure_shape(v, inputs[k].spec.shape, name=f"input_{k}") for k, v in zip(inputs, args, strict=True)
        }
        return body(**named)

    parameters = [
        inspect.Parameter(k, _ANY_KIND, default=inspect.Parameter.empty if v.default is None else v.default)
        for k, v in inputs.items()
    ]
    call.__name__ = name
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    specs = [tf.TensorSpec(v.spec.shape, v.spec.dtype, name=k) for k, v in inputs.items()]
    return tf.function(call, input_signature=specs, autograph=False)


def _units(signature):
    yield from ((f"input {k}", v.meaning) for k, v in signature.inputs.items())
    yield from ((f"output {k}", unit) for k, unit in signature.outputs.items())
