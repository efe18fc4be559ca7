"""Pictures from a prior: its latents at another temperature and size, and their pixels.

A temperature multiplies the latents, and so the standard deviation of a prior of mean 0. Height and width are free
where the bijector says what they must be multiples of, and the base distribution is a `tfd.Sample` of scalars.
"""

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.keywords import bijector_kwargs


def size_divisor(distribution: tfp.distributions.Distribution) -> int | None:
    """Returns what height and width must be multiples of if they are free, or None if they are fixed."""
    divisor = getattr(getattr(distribution, "bijector", None), "size_divisor", None)
    base = getattr(distribution, "distribution", None)
    scalars = isinstance(base, tfp.distributions.Sample) and base.distribution.event_shape.rank == 0
    return divisor if scalars else None


def batch_shape_of_any_size(distribution: tfp.distributions.Distribution) -> list[int | None]:
    """Returns the static shape [N, H, W, C] of images, None where it is free."""
    height, width, channels = distribution.event_shape
    return [None, height, width, channels] if size_divisor(distribution) is None else [None, None, None, channels]


def of_size(distribution: tfp.distributions.Distribution, size: Any) -> tfp.distributions.Distribution:
    """Returns `distribution` over images of another `size`, two ints or tensors; the flow is the same object."""
    base: Any = distribution.distribution
    return distribution.copy(distribution=base.copy(sample_shape=tf.stack([*size, distribution.event_shape[-1]])))


def sample_latents(
    distribution: tfp.distributions.Distribution, count: Any, *, seed: Any, temperature: Any = 1.0, size: Any = None
) -> tf.Tensor:
    """Returns latents [count, H, W, C]; at temperature 1 and the usual size those of `distribution.sample`.

    Args:
      distribution: `tfd.TransformedDistribution` over images [H, W, C].
      count: int or tensor.
      seed: two ints, or a tensor of them.
      temperature: float or tensor, above 0.
      size: (height, width), ints or tensors, if `size_divisor` is not None. Default: those of the distribution.
    """
    base = (distribution if size is None else of_size(distribution, size)).distribution
    latents = base.sample(count, seed=seed)
    latents = tf.cast(temperature, latents.dtype) * latents
    return tf.ensure_shape(latents, batch_shape_of_any_size(distribution))


def pixels_of_latents(
    distribution: tfp.distributions.Distribution, latents: tf.Tensor, conditioning: tf.Tensor | None = None
) -> tf.Tensor:
    """Returns the real pixels [N, H, W, C] of latents; `conditioning` is [N, K] or None."""
    keywords = bijector_kwargs(distribution, training=False, conditioning=conditioning)
    return distribution.bijector.forward(latents, **keywords)
