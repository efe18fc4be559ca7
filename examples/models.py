"""The model of a run."""

import dataclasses
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from examples import config as config_lib
from tfp_realnvp import Adam, FlowModel, GlowImage, Muon, RealNVPImage

tfd = tfp.distributions

_FLOWS = {config_lib.Flow: RealNVPImage, config_lib.Glow: GlowImage}
_OPTIMIZERS = {"adam": Adam, "muon": Muon}


class Form(NamedTuple):
    """What a model must know of images.

    Attributes:
      image_shape: (H, W, C).
      levels: int, how many values a pixel can have.
      conditioning: tuple of str, the meaning of each of the numbers that come with an image.
      whole: bool; pixels are whole numbers, to which noise is added.
    """

    image_shape: tuple[int, int, int]
    levels: int
    conditioning: tuple[str, ...]
    whole: bool = True


def form_of(images):
    """Returns the `Form` of an `ImageData`."""
    return Form(images.image_shape, images.levels, images.conditioning_names, images.whole)


def build_model(config, form, seed):
    """Returns a compiled `FlowModel` with new weights, of a `Config` and for images of a `Form`."""
    return build_model_of(build_distribution(config.flow, form), config, form, seed)


def build_distribution(flow, form, flow_class=None):
    """Returns a `tfd.Distribution` over images, with new weights.

    Args:
      flow: the flow of a `Config`.
      form: `Form` of the images.
      flow_class: the class of the bijector; by default that which the flow names.
    """
    make = flow_class or _FLOWS[type(flow)]
    bijector = make(
        form.image_shape[-1],
        levels=form.levels,
        conditioning_size=len(form.conditioning) or None,
        **dataclasses.asdict(flow),
    )
    prior = tfd.Sample(tfd.Normal(0.0, 1.0), sample_shape=form.image_shape)
    return tfd.TransformedDistribution(prior, bijector, name="images")


def check_distribution(distribution, flow, form):
    """Raises ValueError unless a distribution from a file is what `build_distribution` returns, but for its weights."""
    bijector = getattr(distribution, "bijector", None)
    expected = {
        "flow": _FLOWS[type(flow)].__name__,
        "image_shape": list(form.image_shape),
        "levels": form.levels,
        "conditioning_size": len(form.conditioning) or None,
        **dataclasses.asdict(flow),
    }
    found = {**getattr(bijector, "parameters", {}), "flow": type(bijector).__name__}
    found["image_shape"] = list(distribution.event_shape)
    if found.get("compute_dtype") is not None:
        found["compute_dtype"] = tf.as_dtype(found["compute_dtype"]).name
    differing = [
        f"{name} {found.get(name)!r} there, {value!r} here"
        for name, value in expected.items()
        if found.get(name) != value
    ]
    if differing:
        raise ValueError(f"its flow is not that of its record ({'; '.join(differing)}); export the run once more.")


def build_model_of(distribution, config, form, seed, optimizer_class=None):
    """Returns a compiled `FlowModel` of a distribution; by default the optimizer is that of the config."""
    model = FlowModel(
        distribution,
        levels=form.levels,
        dequantize=form.whole,
        averaging=config.averaging,
        l2=config.l2,
        seed=seed,
    )
    rate = config.learning_rate
    if config.cosine_decay:
        rate = _cosine(rate, config.steps, config.warmup_steps)
    make = optimizer_class or _OPTIMIZERS[config.optimizer]
    model.compile(
        make(rate, epsilon=1e-8, global_clipnorm=config.clip_norm), steps_per_execution=config.steps_per_execution
    )
    return model


def _cosine(rate, steps, warmup_steps):
    """Returns Keras' schedule that rises to `rate` and falls to 0 at the end of all `steps`."""
    start = {"initial_learning_rate": 0.0, "warmup_target": rate} if warmup_steps else {"initial_learning_rate": rate}
    return tf_keras.optimizers.schedules.CosineDecay(
        decay_steps=steps - warmup_steps, warmup_steps=warmup_steps, **start
    )


def count_parameters(model):
    """Returns the number of trainable parameters."""
    return sum(int(np.prod(v.shape)) for v in model.distribution.trainable_variables)


def step_of(model):
    """Returns how many training steps a model has taken."""
    return int(model.optimizer.iterations.numpy())
