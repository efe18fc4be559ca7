"""The two keywords that every method of an `ImageBijector` takes: `training` and `conditioning`.

Their whole contract stands here; all other code calls it.

training: Python bool, False by default. True normalises with the statistics of the batch, and in `inverse` it also
  moves the running statistics by one step. It is no tensor, since it chooses the graph and not a value in the graph.
conditioning: float tensor [..., K], one vector an image, whose leading axes broadcast against the batch shape, or None.
  A network or layer says what it takes by its attribute `conditioning_size`: K if it is conditional, None if it is not.
  A conditioner without that attribute takes vectors of any size if its parameters have the name `conditioning`.

A distribution is called with `bijector_kwargs(...)`; each `ImageBijector` hands both keywords to its parts, and
`AffineCoupling` gives its conditioner, as [N, K], those that the conditioner's parameters name. A conditioner may also
name `update_statistics`: a Python bool, whether statistics of its own are to move in this evaluation.
"""

import inspect
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp


class Conditioning(NamedTuple):
    """What a distribution or a conditioner takes as `conditioning`.

    Attributes:
      accepted: Python bool; whether it takes any.
      size: Python int K, or None if K is not known or nothing is taken.
    """

    accepted: bool
    size: int | None


class TakesKeywords:
    """Base class of what takes both keywords in its methods: `ImageBijector`."""

    name: str
    submodules: Iterable[Any]


def conditioning_of_distribution(distribution: tfp.distributions.Distribution) -> Conditioning:
    """Returns what a distribution takes, by what its parts say."""
    parts = distribution.submodules
    sizes = {part.conditioning_size for part in parts if hasattr(part, "conditioning_size")}
    accepted = sizes != {None} and any(isinstance(part, TakesKeywords) for part in parts)
    return Conditioning(accepted, next(iter(sizes - {None}), None))


def conditioner_keywords(conditioner: Callable) -> tuple[str, ...]:
    """Returns those of the keywords that a conditioner, or the `call` of a Keras layer, takes by name."""
    parts: list[Any] = [conditioner]
    if getattr(conditioner, "of_keras", False):
        parts += [parts[0].layer]  # A layer of Keras 3 is within a module, which hands on what it takes.
    names = {name for part in parts for name in inspect.signature(getattr(part, "call", part)).parameters}
    return tuple(name for name in ("training", "update_statistics", "conditioning") if name in names)


def conditioning_of_conditioner(conditioner: Callable) -> Conditioning:
    """Returns what the conditioner of a coupling takes."""
    size = getattr(conditioner, "conditioning_size", None)
    named = "conditioning" in conditioner_keywords(conditioner)
    return Conditioning(named and (size is not None or not hasattr(conditioner, "conditioning_size")), size)


def check_keywords(name: str, keywords: Iterable[str]) -> None:
    """Raises TypeError if one of a call's keywords is not of the two; `name` is that of the bijector."""
    for keyword in keywords:
        if keyword not in ("training", "conditioning"):
            raise TypeError(
                f"`{keyword}`: no keyword of {name!r}; it takes `training` and `conditioning`, which a distribution "
                "takes as `bijector_kwargs={...}`."
            )


def check_training(training: Any) -> None:
    """Raises TypeError unless `training` is a Python bool."""
    if not isinstance(training, bool):
        raise TypeError(f"`training`={training!r}: must be a Python bool; it chooses the graph, not a value in it.")


_PASS_IT = (
    "pass it by `log_prob(x, bijector_kwargs={'conditioning': c})`, or in Keras by `fit(x, c)` or a `tf.data.Dataset` "
    "of pairs (images, conditioning)"
)


def check_conditioning(
    what: str, shape: Any, takes: Conditioning, *, rank: int | None = None, pass_it: str = _PASS_IT
) -> None:
    """Raises ValueError unless conditioning of `shape`, or None for none, is what a flow takes.

    Args:
      what: how the message names the conditioning, e.g. "`conditioning`".
      shape: [..., K], or None if there is no conditioning.
      takes: what the flow takes.
      rank: Python int, the rank that the conditioning must have; None for any rank of at least 1.
      pass_it: how the message says to pass conditioning where there is none.
    """
    if shape is None and takes.size is not None:
        raise ValueError(
            f"{what} is None: the flow was built with `conditioning_size`={takes.size} and needs a vector of this size "
            f"for each image; {pass_it}."
        )
    if shape is None:
        return
    shape = tf.TensorShape(shape)
    if not takes.accepted:
        raise ValueError(
            f"{what} of shape {shape}: the flow takes no conditioning (or labels); leave it out, or build the flow "
            "with `conditioning_size`, or give a conditioner of your own a parameter `conditioning`."
        )
    fits = shape.rank != 0 if rank is None else shape.rank in (None, rank)
    if not fits or not shape[-1:].is_compatible_with([takes.size]):
        raise ValueError(
            f"{what} of shape {shape}: must be [{'N' if rank == 2 else '...'}, {takes.size or 'K'}] as the flow's "
            "`conditioning_size`, one vector an image; classes go in as one-hot vectors."
        )


def flat_conditioning(conditioning: tf.Tensor, batch: tf.Tensor, static_batch: tf.TensorShape) -> tf.Tensor:
    """Returns conditioning [..., K] as [N, K], a row for each image of a batch that is flattened to N images.

    Raises:
      ValueError: if the leading axes do not broadcast against the batch shape, or the rank is unknown.
    """
    shape = conditioning.shape
    if shape.rank is None:
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


def bijector_kwargs(
    distribution: tfp.distributions.Distribution, *, training: bool, conditioning: Any = None
) -> dict[str, Any]:
    """Returns the `bijector_kwargs` that bring both keywords to the `ImageBijector`s in a distribution's bijector.

    They are also the keywords of the methods of `distribution.bijector`.

    Args:
      distribution: any `tfd.Distribution` over images. One without a bijector, or whose bijector is neither an
        `ImageBijector` nor a `tfb.Chain` of some, gets no keywords.
      training: Python bool.
      conditioning: tensor [N, K] or None.

    Raises:
      ValueError: if there is conditioning that nothing takes, or that does not reach all parts that take some.
    """
    keywords = {"training": training, "conditioning": conditioning}
    bijector = getattr(distribution, "bijector", None)
    # TFP makes an object of the base class of `tfb.Chain` if a part is no composite tensor, so isinstance won't do.
    parts: Iterable[Any] = [bijector] if isinstance(bijector, TakesKeywords) else getattr(bijector, "bijectors", ())
    reached = [part for part in parts if isinstance(part, TakesKeywords)]
    if conditioning is not None:
        _check_reach(distribution, reached, tf.convert_to_tensor(conditioning).shape)
    return keywords if isinstance(bijector, TakesKeywords) else {part.name: keywords for part in reached}


def _check_reach(distribution: tfp.distributions.Distribution, reached: Iterable[Any], shape: tf.TensorShape) -> None:
    """Raises ValueError if conditioning that is given to the bijectors `reached` misses a part that takes some."""
    known = {id(part) for start in reached for part in _reached_from(start)}
    # A copy keeps its original among its submodules, but not in its parameters.
    own = [part for part in tf.nest.flatten(distribution.parameters) if isinstance(part, tf.Module)]
    others: list[Any] = [part for root in own for part in (root, *root.submodules) if id(part) not in known]
    missed = next((part for part in others if _takes_conditioning(part)), None)
    if missed is not None:
        flows = (part for part in others if isinstance(part, TakesKeywords) and missed in part.submodules)
        raise ValueError(
            f"`conditioning` of shape {shape}: does not reach {next(flows, missed).name!r}, since it is brought only "
            "to the bijector of the distribution and to the parts of a `tfb.Chain` or `Composition`; put the flow "
            "there itself, instead of into a `tfb.Invert`, a Chain within a Chain or another distribution."
        )
    if not known:
        check_conditioning("`conditioning`", shape, Conditioning(False, None))


def _reached_from(start: Any) -> Iterable[Any]:
    """Returns `start` and the modules in it, without those in bijectors that hand no keywords on."""
    ends = [m for m in start.submodules if isinstance(m, tfp.bijectors.Bijector) and not isinstance(m, TakesKeywords)]
    beyond = {id(part) for end in ends for part in end.submodules}
    return [part for part in (start, *start.submodules) if id(part) not in beyond]


def _takes_conditioning(part: Any) -> bool:
    """Returns whether a part, by what it says, takes conditioning itself: a network or a coupling."""
    conditioner = getattr(part, "conditioner", None)
    size = getattr(part, "conditioning_size", None)
    return size is not None or (callable(conditioner) and conditioning_of_conditioner(conditioner).accepted)


def image_log_prob(
    distribution: tfp.distributions.Distribution,
    pixels: tf.Tensor,
    *,
    training: bool,
    conditioning: tf.Tensor | None = None,
) -> tf.Tensor:
    """Returns `distribution.log_prob(pixels)`, nats [N], with both keywords brought to its `ImageBijector`s.

    Args:
      distribution: any `tfd.Distribution` over images.
      pixels: tensor [N, H, W, C].
      training: Python bool.
      conditioning: tensor [N, K] or None.

    Raises:
      ValueError: if there is conditioning that nothing takes, or that does not reach all parts that take some.
    """
    keywords = bijector_kwargs(distribution, training=training, conditioning=conditioning)
    return distribution.log_prob(pixels, bijector_kwargs=keywords) if keywords else distribution.log_prob(pixels)
