"""The signatures of a served distribution, and the checks of each request."""

import types
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.checks import check_distribution, check_finite, check_int
from tfp_realnvp.keywords import bijector_kwargs, conditioning_of_distribution, image_log_prob
from tfp_realnvp.likelihood import bits_per_dim
from tfp_realnvp.pixels import dequantize, levels_of, quantize
from tfp_realnvp.sampling import batch_shape_of_any_size, of_size, pixels_of_latents, sample_latents, size_divisor
from tfp_realnvp.saving.requests import Input, Signature, graph_function, require

MAX_VALUES = 2**19  # Of a request, N * H * W * C, if an export does not say.


class Signatures(tf.Module):
    """The signatures of a distribution over images, see `export_saved_model`.

    Requests are checked by assertions in the graph, whose message names the input, since a server has no Python.

    Attributes:
      table: mapping from name to `Signature`.
    """

    def __init__(
        self, distribution: tfp.distributions.Distribution, *, levels: int | None = None, max_values: int = MAX_VALUES
    ) -> None:
        """See `export_saved_model`."""
        super().__init__(name="signatures")
        check_distribution(distribution)
        check_finite(distribution.variables)
        check_int("max_values", max_values, 1, 2**31 - 1, "the largest request, in N * H * W * C")
        self.distribution = distribution
        self.levels = levels_of(distribution, levels)
        self.max_values = max_values
        self._bijector: Any = getattr(distribution, "bijector", None)
        self.conditioning_size = conditioning_of_distribution(distribution).size
        self._divisor = size_divisor(distribution)
        self._shape = batch_shape_of_any_size(distribution)
        # Each direction is traced once, for all signatures.
        specs = [tf.TensorSpec(self._shape, distribution.dtype)]
        if self.conditioning_size is not None:
            specs.append(tf.TensorSpec([None, self.conditioning_size], distribution.dtype))
        self._inverse = tf.function(self._latents_and_log_prob, input_signature=specs, autograph=False)
        if self._bijector is not None:
            self._forward = tf.function(self._pixels, input_signature=specs, autograph=False)
        self.table = types.MappingProxyType(self._make_table())  # TensorFlow would save what a dict holds.
        for name, signature in self.table.items():
            # They become methods of what `tf.saved_model.load` returns, and keep their defaults.
            setattr(self, name, signature.function)

    def _make_table(self) -> dict[str, Signature]:
        height, width, _ = self.distribution.event_shape
        floats = self.distribution.dtype
        integer_type = tf.uint8 if self.levels <= 256 else tf.uint16
        values = f"values in [0, {self.levels})"
        seed = {"seed": Input(tf.TensorSpec([2], tf.int32), "two numbers that select the noise", tf.constant([0, 0]))}
        dequantize = {"dequantize": Input(tf.TensorSpec([], tf.bool), "add noise in [0, 1)", tf.constant(True))}
        integer_pixels = {"pixels": Input(tf.TensorSpec(self._shape, integer_type), f"whole numbers, {values}")}
        real_pixels = {"pixels": Input(tf.TensorSpec(self._shape, tf.float32), values)}
        latents = {"latents": Input(tf.TensorSpec(self._shape, floats), "standard deviations of the prior")}
        count = {"count": Input(tf.TensorSpec([], tf.int32), "number of images")}
        conditioning, sample_inputs = {}, dict(seed)
        if self.conditioning_size is not None:
            spec = tf.TensorSpec([None, self.conditioning_size], floats)
            conditioning = {"conditioning": Input(spec, "a row an image; classes are one-hot vectors")}
        if self._bijector is not None:
            scalar = tf.TensorSpec([], tf.float32)
            sample_inputs["temperature"] = Input(scalar, "factor on the prior's standard deviation", tf.constant(1.0))
        if self._divisor is not None:
            unit = f"pixels, a multiple of {self._divisor}"
            for name, size in (("height", height), ("width", width)):
                sample_inputs[name] = Input(tf.TensorSpec([], tf.int32), unit, tf.constant(size))
        scores = {"log_prob": "nats per image", "bits_per_dim": "bits per dimension, of each image"}
        pictures = {"pixels": integer_pixels["pixels"].meaning}
        bodies: dict[str, tuple] = {
            "serving_default": (self._score, real_pixels | conditioning | seed | dequantize, scores),
            f"serving_{integer_type.name}": (self._score, integer_pixels | conditioning | seed, scores),
            "score": (self._score, real_pixels | conditioning, scores),
            "sample": (self._sample, count | conditioning | sample_inputs, pictures),
        }
        if self._bijector is not None:
            prior = {"latents": latents["latents"].meaning}
            bodies["encode"] = (self._encode, real_pixels | conditioning | seed | dequantize, prior)
            bodies["decode"] = (self._decode, latents | conditioning, pictures)
        table = {n: Signature(graph_function(n, body, i), i, outputs) for n, (body, i, outputs) in bodies.items()}
        units = {f"{n} {k}: {unit}": unit for n, signature in table.items() for k, unit in _units(signature)}
        units_function = graph_function("units", lambda: {k: tf.constant(unit) for k, unit in units.items()}, {})
        return table | {"units": Signature(units_function, {}, {})}

    # --- Answers.

    def _score(
        self, pixels: tf.Tensor, seed: Any = (0, 0), dequantize: Any = True, conditioning: tf.Tensor | None = None
    ) -> dict[str, tf.Tensor]:
        pixels, *condition = self._checked_pixels(pixels, seed, dequantize, conditioning)
        log_prob = self._inverse(pixels, *condition)["log_prob"]
        return {"log_prob": log_prob, "bits_per_dim": bits_per_dim(log_prob, tf.shape(pixels)[1:])}

    def _encode(
        self, pixels: tf.Tensor, seed: Any, dequantize: Any, conditioning: tf.Tensor | None = None
    ) -> dict[str, tf.Tensor]:
        checked = self._checked_pixels(pixels, seed, dequantize, conditioning)
        return {"latents": self._inverse(*checked)["latents"]}

    def _decode(self, latents: tf.Tensor, conditioning: tf.Tensor | None = None) -> dict[str, tf.Tensor]:
        latents = self._checked_images("latents", latents)
        finite = tf.reduce_all(tf.math.is_finite(latents))
        latents = require(latents, finite, "`latents` holds values that are not finite; send finite numbers")
        return {"pixels": self._forward(latents, *self._checked_conditioning(conditioning, tf.shape(latents)[0]))}

    def _sample(
        self,
        count: tf.Tensor,
        seed: tf.Tensor,
        temperature: tf.Tensor | None = None,
        height: Any = None,
        width: Any = None,
        conditioning: tf.Tensor | None = None,
    ) -> dict[str, tf.Tensor]:
        count = require(count, count >= 1, "`count`={}: must be 1 or more, the number of images", count)
        shape, size = self.distribution.event_shape.as_list(), None
        if self._divisor is not None:
            for name, side in (("height", height), ("width", width)):
                rule = f"`{name}`={{}}: must be a multiple of {self._divisor}, from {self._divisor} on"
                count = require(count, (side >= self._divisor) & (side % self._divisor == 0), rule, side)
            size = height, width
            shape = tf.stack([*size, shape[-1]])
        if temperature is not None:
            positive = tf.math.is_finite(temperature) & (temperature > 0)
            count = require(count, positive, "`temperature`={}: must be a finite number above 0", temperature)
        count = self._require_small(count, "count", count, shape)
        condition = self._checked_conditioning(conditioning, count)
        if self._bijector is None:
            return {"pixels": self._quantized(self.distribution.sample(count, seed=seed))}
        latents = sample_latents(self.distribution, count, seed=seed, temperature=temperature, size=size)
        return {"pixels": self._forward(latents, *condition)}

    def _latents_and_log_prob(self, pixels: tf.Tensor, conditioning: tf.Tensor | None = None) -> dict[str, tf.Tensor]:
        distribution = self.distribution
        if self._divisor is not None:
            distribution = of_size(distribution, tf.unstack(tf.shape(pixels)[1:3]))
        log_prob = image_log_prob(distribution, pixels, training=False, conditioning=conditioning)
        # Infinity is no JSON, and TensorFlow Serving's REST clients could not read the answer.
        rule = "`pixels` have a log_prob that is not finite: the model fails on them{}; send others, or mend the model"
        rule = rule.format(" with this `conditioning`" if conditioning is not None else "")
        log_prob = require(log_prob, tf.reduce_all(tf.math.is_finite(log_prob)), rule)
        if self._bijector is None:
            return {"log_prob": log_prob}
        keywords = bijector_kwargs(distribution, training=False, conditioning=conditioning)
        return {"log_prob": log_prob, "latents": self._bijector.inverse(pixels, **keywords)}  # From the cache.

    def _pixels(self, latents: tf.Tensor, conditioning: tf.Tensor | None = None) -> tf.Tensor:
        return self._quantized(pixels_of_latents(self.distribution, latents, conditioning))

    def _quantized(self, pixels: tf.Tensor) -> tf.Tensor:
        rule = "pixels that are not numbers, from `latents` or a `temperature` that are too large; send smaller ones"
        pixels = require(pixels, ~tf.reduce_any(tf.math.is_nan(pixels)), rule)  # A NaN would be cast to any pixel.
        return quantize(pixels, self.levels)

    # --- Checks. Each returns what it has checked.

    def _checked_images(self, name: str, images: tf.Tensor) -> tf.Tensor:
        size = tf.shape(images)
        rule = f"`{name}` of shape {{}}: must be [N, H, W, C] with N of 1 or more"
        images = require(images, size[0] >= 1, rule, size)
        if self._divisor is not None:
            fits = tf.reduce_all((size[1:3] >= self._divisor) & (size[1:3] % self._divisor == 0))
            images = require(images, fits, f"{rule}, H and W multiples of {self._divisor}; resize or crop", size)
        return self._require_small(images, name, size[0], size[1:])

    def _checked_pixels(
        self, pixels: tf.Tensor, seed: Any, add_noise: Any, conditioning: tf.Tensor | None
    ) -> tuple[tf.Tensor, ...]:
        """Returns the pixels with their noise, then the conditioning if there is any."""
        images = tf.cast(self._checked_images("pixels", pixels), tf.float32)
        in_range = tf.reduce_all((images >= 0) & (images < self.levels))  # A NaN is not.
        rule = f"`pixels` holds values from {{}} to {{}}: must lie in [0, {self.levels}), neither scaled nor centred"
        images = require(images, in_range, rule, tf.reduce_min(images), tf.reduce_max(images))
        if pixels.dtype.is_floating:
            whole = tf.logical_not(add_noise) | tf.reduce_all(tf.equal(images, tf.floor(images)))
            rule = "`pixels` holds fractions: must be whole numbers, or have noise already, with `dequantize` false"
            images = require(images, whole, rule)
        images = tf.where(add_noise, dequantize(images, self.levels, seed=seed), images)
        condition = self._checked_conditioning(conditioning, tf.shape(images)[0])
        return tf.cast(images, self.distribution.dtype), *condition

    def _checked_conditioning(self, conditioning: tf.Tensor | None, count: tf.Tensor) -> list[tf.Tensor]:
        """Returns the conditioning in a list, which is empty for an unconditional flow."""
        if conditioning is None:
            return []
        shape = tf.shape(conditioning)
        rule = "`conditioning` of shape {}: must have a row for each of {} images"
        conditioning = require(conditioning, tf.equal(shape[0], count), rule, shape, count)
        rule = "`conditioning` holds values that are not finite; send finite numbers"
        conditioning = require(conditioning, tf.reduce_all(tf.math.is_finite(conditioning)), rule)
        return [conditioning]

    def _require_small(self, value: tf.Tensor, name: str, count: tf.Tensor, shape: Any) -> tf.Tensor:
        values = tf.reduce_prod(tf.cast(tf.concat([[count], shape], 0), tf.float64))  # Which does not overflow.
        rule = f"`{name}`: {{}} images of shape {{}} are more than {self.max_values} values; send several requests"
        return require(value, values <= self.max_values, rule, count, shape)


def _units(signature: Signature) -> Iterator[tuple[str, str]]:
    """Yields a name and the unit of each input and output."""
    yield from ((f"input {k}", v.meaning) for k, v in signature.inputs.items())
    yield from ((f"output {k}", unit) for k, unit in signature.outputs.items())
