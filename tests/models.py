"""Small models, images and comparisons that many tests share.

The flows trace in a second, and the likelihood of `normal` can be computed in NumPy.
"""

import contextlib

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tfp_realnvp import (
    PRESETS,
    AffineCoupling,
    Checkerboard,
    Composition,
    CouplingNetwork,
    FlowBatchNorm,
    FlowModel,
    NetworkOptions,
    PixelLogit,
    RealNVPImage,
    RunningStatistics,
)

tfd = tfp.distributions

SHAPE = (4, 4, 1)
DIMENSIONS = 16
LOC, SCALE = 100.0, 60.0


def images(count=8, seed=0):
    return np.random.RandomState(seed).randint(0, 256, [count, *SHAPE]).astype(np.uint8)


def pixels(*shape, seed=0):
    """Continuous pixels in [0, 256)."""
    return tf.constant(np.random.RandomState(seed).uniform(0, 256, shape), tf.float32)


def on_prior(bijector, dtype=tf.float32, shape=SHAPE):
    return tfd.TransformedDistribution(tfd.Sample(tfd.Normal(tf.zeros([], dtype), 1.0), sample_shape=shape), bijector)


def flow(**options):
    options = {"num_scales": 1, "width": 2, "residual_blocks": 0} | options
    return on_prior(RealNVPImage(1, **options), options.get("dtype", tf.float32))


def small_flow(channels=1, **options):
    """A bijector of two scales, whose networks have a residual block."""
    options = {"num_scales": 2, "width": 2, "residual_blocks": 1} | options
    return RealNVPImage(channels, **options)


def couplings(
    count=1,
    residual_blocks=0,
    preset="released",
    conditioning_size=None,
    recompute_gradients=False,
    dtype=tf.float32,
):
    """The smallest bijectors that have networks, running statistics and layers that report their outputs."""
    chosen = PRESETS[preset]
    statistics = {"running_average": chosen["running_average"]}
    common = {"recompute_gradients": recompute_gradients, "dtype": dtype}
    options = NetworkOptions(conditioning_size=conditioning_size, **statistics, **common)
    with tf.name_scope("tiny"):
        parts = [PixelLogit(squash=chosen["squash"])]
        for i in range(count):
            mask, number = Checkerboard(i % 2), f"_{i}" if i else ""
            network = CouplingNetwork(mask, 1, 2, residual_blocks, options)
            parts += [
                AffineCoupling(mask, network, shift_first=chosen["shift_first"], name=f"coupling{number}", **common),
                FlowBatchNorm(1, mask, name=f"norm{number}", **statistics, **common),
            ]
        return Composition(parts, name="tiny")


def tiny(**options):
    return on_prior(couplings(**options), options.get("dtype", tf.float32))


def normal():
    """Independent pixels with a learned mean."""
    return tfd.Independent(tfd.Normal(tf.Variable(tf.fill(SHAPE, LOC), name="loc"), SCALE), 3)


def normal_bits(pixels, loc=LOC):
    """Bits/dim [N] under `normal`, computed by NumPy in float64."""
    pixels = np.asarray(pixels, np.float64)
    log_prob = -0.5 * ((pixels - loc) / SCALE) ** 2 - np.log(SCALE) - 0.5 * np.log(2 * np.pi)
    return -log_prob.sum((1, 2, 3)) / (DIMENSIONS * np.log(2))


def compiled(distribution, *, optimizer=None, options=None, kind=FlowModel, **model):
    """A compiled `FlowModel`, of which Keras `kind` says; `options` are those of `compile`."""
    model = kind(distribution, **model)
    model.compile(optimizer, **(options or {}))
    return model


@contextlib.contextmanager
def policy(name, library=tf_keras):
    """Makes `name` the global policy of a Keras within the block."""
    library.mixed_precision.set_global_policy(name)
    try:
        yield
    finally:
        library.mixed_precision.set_global_policy("float32")


def running_statistics(module):
    """All running means and all running variances below a module, [2, N]."""
    parts = [part for part in module.submodules if isinstance(part, RunningStatistics)]
    return np.concatenate([[part.mean.numpy(), part.variance.numpy()] for part in parts], axis=1)


def values(variables):
    return [v.numpy() for v in variables]


def assert_equal(left, right):
    """Asserts that two lists of arrays are equal bit for bit."""
    assert len(left) == len(right) > 0
    for a, b in zip(left, right, strict=True):
        np.testing.assert_array_equal(a, b)


def copy_weights(source, target):
    """Copies everything that training moves, which includes the optimizer's variables."""
    for model in (source, target):
        model.optimizer.build(model.trainable_variables)
    for a, b in zip(
        [*source.distribution.variables, *source.optimizer.variables],
        [*target.distribution.variables, *target.optimizer.variables],
        strict=True,
    ):
        b.assign(a)
