"""`DISTRIBUTIONS` has one distribution for each kind of part that a saved flow may have."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tests import models
from tests.zoo import ZOO
from tfp_realnvp import (
    AffineCoupling,
    Checkerboard,
    CouplingNetwork,
    GlowImage,
    NetworkOptions,
    PixelLogit,
    RealNVPImage,
    initialize_from_data,
)

tfb, tfd = tfp.bijectors, tfp.distributions
SHAPE = models.SHAPE


def _learned_prior():
    mean = tf.Variable(tf.zeros(SHAPE), name="mean")
    scale = tfp.util.TransformedVariable(tf.ones(SHAPE), tfb.Softplus(), name="scale")
    prior = tfd.Independent(tfd.Normal(mean, scale), 3)
    return tfd.TransformedDistribution(prior, RealNVPImage(1, num_scales=1, width=2, residual_blocks=0), name="flow")


def _keras_conditioner():
    layer = tf_keras.layers.Conv2D(2, 3, padding="same", name="conv")
    layer.build([None, None, None, 1])
    return models.on_prior(tfb.Chain([PixelLogit(), AffineCoupling(Checkerboard(), layer, name="with_keras")]))


def _chain():
    network = CouplingNetwork(Checkerboard(1), 1, 2, 1, NetworkOptions(momentum=0.5, compute_dtype=tf.float32))
    coupling = AffineCoupling(Checkerboard(1), network, shift_first=True, name="one")
    constant = tfb.Scale(tf.constant(np.full(SHAPE, 1.5, np.float32)))
    return models.on_prior(tfb.Chain([PixelLogit(), coupling, constant, tfb.Shift(np.float32(0.25))]))


def _glow():
    """A flow that has started from data."""
    distribution = models.on_prior(GlowImage(1, num_scales=2, depth=2, width=2))
    initialize_from_data(distribution, models.pixels(8, *SHAPE))
    return distribution


DISTRIBUTIONS = {
    "glow": _glow,
    "released": lambda: models.flow(num_scales=2),
    "paper": lambda: models.flow(preset="paper", residual_blocks=1),
    "conditional": lambda: models.flow(conditioning_size=3),
    "additive": lambda: models.flow(additive=True, batch_norm=False),
    "float64": lambda: models.flow(dtype=tf.float64),
    "bfloat16": lambda: models.flow(compute_dtype=tf.bfloat16),
    "composition": lambda: models.on_prior(ZOO["composition"].make(tf.float32)),
    "chain": _chain,
    "keras_conditioner": _keras_conditioner,
    "learned_prior": _learned_prior,
    "no_bijector": models.normal,
}


def moved(distribution, by=0.1):
    """The distribution, with variables that differ from those which a new one starts with."""
    for i, v in enumerate(distribution.variables):
        if not v.dtype.is_floating:  # A permutation, or whether a layer has started.
            continue
        noise = tf.cast(tf.random.stateless_normal(v.shape, [i, 0]), v.dtype)
        v.assign(v * tf.exp(by * noise) if "variance" in v.name else v + by * noise)
    return distribution


def answers(distribution):
    """Samples and likelihoods of the distribution, as bytes."""
    keywords, pixels = {}, tf.constant(models.images(3) + 0.5, distribution.dtype)
    sizes = {getattr(part, "conditioning_size", None) for part in distribution.submodules}
    if 3 in sizes:
        keywords = {"bijector_kwargs": {"conditioning": tf.cast(tf.eye(3), distribution.dtype)}}
    sample = distribution.sample(3, seed=(1, 2), **keywords)
    return [sample.numpy().tobytes(), distribution.log_prob(pixels, **keywords).numpy().tobytes()]


class Scaling(tfb.Bijector):
    """A bijector of a user's own, which the package does not know."""

    def __init__(self, scale, name="scaling"):
        parameters = dict(locals())
        self.scale = tf.Variable(scale, name="scale")
        super().__init__(forward_min_event_ndims=0, parameters=parameters, name=name)

    def _forward(self, x):
        return self.scale * x

    def _inverse(self, y):
        return y / self.scale

    def _inverse_log_det_jacobian(self, y):
        return -tf.math.log(self.scale)
