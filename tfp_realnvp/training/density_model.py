"""What a trained model is asked for: pictures, and the densities of given ones."""

import functools
import math
import numbers
import operator
from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.checks import check_bool, check_int, check_number, check_seed
from tfp_realnvp.keywords import bijector_kwargs, image_log_prob
from tfp_realnvp.pixels import dequantize, quantize
from tfp_realnvp.runtime.replicas import in_several_replicas
from tfp_realnvp.sampling import pixels_of_latents, sample_latents, size_divisor
from tfp_realnvp.training.data import check_array, check_real_pixels, conditioning_rows, image_dtype
from tfp_realnvp.training.maximum_likelihood import MaximumLikelihood

_WARMTH = "a finite number above 0; 1 draws from the distribution itself, e.g. 0.7 from its denser parts"


class DensityModel:
    """The part of a `FlowModel` of either Keras that draws pictures and scores them, each by one compiled function.

    Attributes:
      likelihood: `MaximumLikelihood`, which a subclass sets.
    """

    likelihood: MaximumLikelihood
    distribution: tfp.distributions.Distribution

    def sample(
        self,
        n: int,
        *,
        temperature: float = 1.0,
        conditioning: Any = None,
        seed: Any = None,
        size: Any = None,
        whole: bool = True,
    ) -> tf.Tensor:
        """Returns n pictures, [n, H, W, C], drawn with the weights of `evaluate`.

        The same seed gives the same pictures. With two ints and `whole=False` they are, to rounding, those of
        `distribution.sample(n, seed=seed)` with these weights. All n are computed at once: draw many in several calls.
        TensorFlow traces the first call only, whatever the arguments of later ones.

        >>> flow = RealNVPImage(channels=1, num_scales=2, width=4, residual_blocks=0, levels=17)
        >>> prior = tfd.Sample(tfd.Normal(0.0, 1.0), sample_shape=[4, 4, 1])
        >>> model = FlowModel(tfd.TransformedDistribution(prior, flow))
        >>> pictures = model.sample(3, temperature=0.8, seed=1, size=(8, 6))
        >>> pictures.shape, pictures.dtype
        (TensorShape([3, 8, 6, 1]), tf.uint8)

        Args:
          n: Python int; n * H * W * C must be below 2**31.
          temperature: float above 0, a factor on the latents, and so on the standard deviation of a prior of mean 0.
            Other values than 1 want a `tfd.TransformedDistribution`.
          conditioning: numbers [n, K], or [K] for the same in all pictures, floats if n is K, since integers might be
            labels; None for an unconditional flow.
          seed: an int, which stands for (0, int), or two ints; None draws another one from TensorFlow's generator,
            which `tf_keras.utils.set_random_seed` resets.
          size: (height, width), multiples of the flow's `size_divisor`, for a `RealNVPImage` on a `tfd.Sample` of
            scalars. Default: those of the distribution.
          whole: Python bool; whole numbers in [0, levels), see `quantize`. False gives the real pixels.

        Returns:
          A tensor, uint8 (uint16 above 256 levels), or of the distribution's dtype if not `whole`.

        Raises:
          TypeError, ValueError: for a wrong argument.
          FloatingPointError: if a pixel is not a number and so has no whole one.
          RuntimeError: within `tf.function` or a replica; there, call `distribution.sample`.
        """
        _check_eager("sample")
        check_int("n", n, 1, 2**31 - 1, "the number of pictures")
        check_number("temperature", temperature, lambda t: t > 0, _WARMTH)
        check_bool("whole", whole)
        if temperature != 1 and not hasattr(self.distribution, "bijector"):
            raise ValueError(
                f"`temperature`={temperature}: must be 1 for a distribution without latents; make it a "
                "`tfd.TransformedDistribution` of a prior and a bijector, or leave `temperature` out."
            )
        inputs = {
            tf.TensorSpec([], tf.int32, "n"): n,
            tf.TensorSpec([2], tf.int32, "seed"): _seed_pair(seed),
            tf.TensorSpec([], tf.float64, "temperature"): temperature,
            tf.TensorSpec([2], tf.int32, "size"): self._checked_size(size, n),
        }
        pixels = self._evaluated(self._draw_pixels, inputs, conditioning_rows(conditioning, n, self.distribution))
        if not whole:
            return pixels
        if tf.reduce_any(tf.math.is_nan(pixels)):  # `quantize` would make any number of it.
            raise FloatingPointError(
                f"`temperature`={temperature}: the flow answers with pixels that are not numbers; lower it, or go back "
                "to sound weights, e.g. the last checkpoint."
            )
        return quantize(pixels, self.likelihood.levels)

    def log_prob(self, images: Any, *, conditioning: Any = None, seed: Any = (0, 0)) -> tf.Tensor:
        """Returns the log density of each image, nats [N], with the weights of `evaluate`.

        `predict` gives -log_prob / (H * W * C * ln 2), bits/dim, of images with the noise of an evaluation, which goes
        on from batch to batch. Here `seed` alone selects the noise, so that the numbers differ as two draws of the
        noise do; of real pixels both are the same function. All images are computed at once, and TensorFlow traces the
        first call only.

        >>> prior = tfd.Sample(tfd.Normal(0.0, 1.0), sample_shape=[4, 4, 1])
        >>> flow = RealNVPImage(channels=1, num_scales=1, width=4, residual_blocks=0)
        >>> model = FlowModel(tfd.TransformedDistribution(prior, flow))
        >>> model.log_prob(np.zeros([5, 4, 4, 1], np.uint8)).shape
        TensorShape([5])

        Args:
          images: array or tensor [N, H, W, C]. Of an integer dtype: in [0, levels), and noise is added by
            `dequantize`, unless the model was built with `dequantize=False`, which refuses them. Of a float dtype:
            pixels that have their noise, taken as they are, as by `distribution.log_prob`.
          conditioning: numbers [N, K], or [K] for the same in all images, floats if N is K, since integers might be
            labels; None for an unconditional flow.
          seed: an int, which stands for (0, int), or two ints; None draws another one, as in `sample`.

        Raises:
          TypeError, ValueError: for a wrong argument; also for float images that are all whole numbers, whose density
            without noise would be a mistake that nobody sees.
          RuntimeError: within `tf.function` or a replica; there, call `distribution.log_prob`.
        """
        _check_eager("log_prob")
        seed = _seed_pair(seed)
        dtype = image_dtype("images", getattr(images, "dtype", tf.float32))
        if dtype.is_integer:
            check_array("images", images, self.distribution, self.likelihood.levels, whole=True)
            if not self.likelihood.dequantize:
                raise ValueError(
                    f"`images` of dtype {dtype.name}: must be of a float type, with their noise, "
                    "since this model was built with `dequantize=False`; pass them through `dequantize`."
                )
            images = dequantize(images, self.likelihood.levels, seed=seed)
        else:
            check_real_pixels("images", images, self.distribution)
        rows = conditioning_rows(conditioning, images.shape[0], self.distribution)
        pixels = tf.cast(images, self.distribution.dtype)
        inputs = {tf.TensorSpec([None, *pixels.shape[1:]], pixels.dtype, "pixels"): pixels}
        return self._evaluated(self._score_pixels, inputs, rows)

    def _checked_size(self, size: Any, n: int) -> list[int]:
        """Returns height and width of n pictures; raises ValueError for a size that can't be drawn."""
        *own, channels = self.distribution.event_shape.as_list()
        sides = own if size is None else self._sides(size, own)
        # TensorFlow counts in int32, and what it says otherwise is pages long.
        if n * math.prod(sides) * channels >= 2**31:
            raise ValueError(
                f"`n`={n} and `size`={size}: must ask for less than 2**31 values at once, n * height * width * "
                f"channels, here {n} * {sides[0]} * {sides[1]} * {channels}; draw fewer pictures in each of several "
                "calls, or smaller ones."
            )
        return sides

    def _sides(self, size: Any, own: list[int]) -> list[int]:
        """Returns a user's `size` as ints; raises ValueError if the distribution, whose own is `own`, has none such."""
        try:
            height, width = sides = [operator.index(side) for side in size]
        except (TypeError, ValueError):
            raise ValueError(f"`size`={size!r}: must be (height, width), two ints, or None for {own}.") from None
        divisor = size_divisor(self.distribution)
        if divisor is None and sides != own:
            raise ValueError(
                f"`size`={size!r}: must be {own} or None, since the size of this distribution is fixed; other sizes "
                "want a bijector with a `size_divisor`, e.g. a RealNVPImage, on a tfd.Sample of scalars."
            )
        if divisor is not None and (min(height, width) < divisor or height % divisor or width % divisor):
            raise ValueError(
                f"`size`={size!r}: height and width must be multiples of the flow's `size_divisor`={divisor}, from "
                f"{divisor} on; round them."
            )
        return sides

    def _evaluated(self, body: Callable, inputs: dict[tf.TensorSpec, Any], rows: tf.Tensor | None) -> tf.Tensor:
        """Returns `body` of the inputs and of the conditioning, with the weights of `evaluate`.

        It is traced once: all inputs are tensors whose shape and type no call changes.
        """
        size = None
        if rows is not None:
            size = rows.shape[-1]
            inputs |= {tf.TensorSpec([None, size], rows.dtype, "conditioning"): rows}
        key = f"{body.__name__} {size}"
        if key not in self._functions:
            self._functions[key] = tf.function(body, input_signature=list(inputs), autograph=False)
        with self.likelihood.evaluation_weights():
            return self._functions[key](*inputs.values())

    @functools.cached_property  # No attribute that Keras or a checkpoint would see.
    def _functions(self) -> dict[str, Callable]:
        return {}

    def _draw_pixels(
        self,
        n: tf.Tensor,
        seed: tf.Tensor,
        temperature: tf.Tensor,
        size: tf.Tensor,
        conditioning: tf.Tensor | None = None,
    ) -> tf.Tensor:
        distribution = self.distribution
        # Conditioning that nothing would take is refused before latents are drawn, or pictures without it.
        bijector_kwargs(distribution, training=False, conditioning=conditioning)
        if not hasattr(distribution, "bijector"):
            return distribution.sample(n, seed=seed)
        sides = None if size_divisor(distribution) is None else tf.unstack(size)
        latents = sample_latents(distribution, n, seed=seed, temperature=temperature, size=sides)
        return pixels_of_latents(distribution, latents, conditioning)

    def _score_pixels(self, pixels: tf.Tensor, conditioning: tf.Tensor | None = None) -> tf.Tensor:
        return image_log_prob(self.distribution, pixels, training=False, conditioning=conditioning)


def _check_eager(method: str) -> None:
    """Raises RuntimeError in a graph or a replica, where the averaged weights can't take the others' place."""
    if not tf.executing_eagerly() or in_several_replicas():
        raise RuntimeError(
            f"`{method}` of a FlowModel was called within `tf.function` or a replica: call it outside, also of a "
            f"strategy's replicas, or take `model.distribution.{method}` in `model.evaluation_weights()`."
        )


def _seed_pair(seed: Any) -> tf.Tensor:
    """Returns the two integers that a user's seed stands for, int32 as TFP wants them."""
    if seed is None:
        return tfp.random.sanitize_seed(None)
    pair = (0, seed) if isinstance(seed, numbers.Integral) and not isinstance(seed, bool) else seed
    rule = "an int or two ints, of 32 bits, or None for another one each time"
    pair = check_seed(pair, rule)
    if tf.reduce_any(pair != tf.cast(tf.cast(pair, tf.int32), pair.dtype)):
        raise ValueError(f"`seed`={seed!r}: must be {rule}.")
    return tf.cast(pair, tf.int32)
