"""The model of a run."""

from typing import NamedTuple

import numpy as np
import tensorflow_probability as tfp
import tf_keras

from tfp_realnvp import Adam, FlowModel, RealNVPImage

tfd = tfp.distributions


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
    flow = RealNVPImage(
        form.image_shape[-1],
        levels=form.levels,
        conditioning_size=len(form.conditioning) or None,
        **config.values["flow"],
    )
    prior = tfd.Sample(tfd.Normal(0.0, 1.0), sample_shape=form.image_shape)
    model = FlowModel(
        tfd.TransformedDistribution(prior, flow, name="images"),
        levels=form.levels,
        dequantize=form.whole,
        averaging=config.averaging,
        l2=config.l2,
        seed=seed,
    )
    rate = config.learning_rate
    if config.cosine_decay:
        rate = tf_keras.optimizers.schedules.CosineDecay(rate, config.steps)
    model.compile(
        Adam(rate, epsilon=1e-8, global_clipnorm=100.0),
        steps_per_execution=config.steps_per_execution,
    )
    return model


def count_parameters(model):
    """Returns the number of trainable parameters."""
    return sum(int(np.prod(v.shape)) for v in model.distribution.trainable_variables)


def step_of(model):
    """Returns how many training steps a model has taken."""
    return int(model.optimizer.iterations.numpy())
