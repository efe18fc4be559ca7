"""The whole training step compiles under XLA with static shapes, as a TPU needs it."""

import concurrent.futures
import multiprocessing

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from examples import config as config_lib
from examples.benchmarks import speed, turns
from tests import models
from tfp_realnvp import PRESETS, Adam, FlowModel, RealNVPImage

tfd = tfp.distributions

# A small flow keeps of each config's flow its scales and its dtype.
SMALL = {"width": 2, "residual_blocks": 1}
FLOWS = {tuple(sorted((config_lib.get(n).values["flow"] | SMALL).items())): n for n in reversed(config_lib.names())}
NETWORKS = {name: dict(flow) for flow, name in FLOWS.items()}


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("name", NETWORKS)
def test_the_training_step_compiles_and_is_the_plain_one(name, preset, record_property):
    # XLA never frees what it has compiled, which is 2 GB a step and more. Hence each step has a process, which ends.
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        trained, rates = pool.submit(_train, NETWORKS[name] | {"preset": preset}).result()
    (losses, weights), (plain_losses, plain_weights) = trained
    np.testing.assert_allclose(losses, plain_losses, rtol=0.02)  # XLA draws other noise.
    for ours, theirs in zip(weights, plain_weights, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=5e-5)
    assert all(0 < rate < np.inf for rate in rates.values())
    text = ", ".join(f"{kind} {rate:,.0f} images/s" for kind, rate in rates.items())
    ratio = rates["XLA"] / rates["plain"]
    record_property("speed", f"training step of {name} in small, {preset}: {text}, XLA / plain {ratio:.2f}")


def _train(flow):
    """The losses and weights of two steps by XLA and of two plain ones, and the images/s of both."""
    side = 2 ** flow["num_scales"]
    images = np.random.RandomState(0).randint(0, 256, [8, side, side, 1]).astype(np.uint8)
    trained, steps = [], {}
    for jit_compile in (True, False):
        tf.random.set_seed(0)
        prior = tfd.Sample(tfd.Normal(0.0, 1.0), sample_shape=images.shape[1:])
        model = FlowModel(tfd.TransformedDistribution(prior, RealNVPImage(1, **flow)), averaging=0.999)
        # At this rate neither rounding nor the noise of another generator moves anything far.
        model.compile(Adam(1e-5, epsilon=1e-8, global_clipnorm=100.0), jit_compile=jit_compile)
        batches = tf.data.Dataset.from_tensors(images).repeat()
        losses = model.fit(batches, steps_per_epoch=1, epochs=2, verbose=0).history["bits_per_dim"]
        steps["XLA" if jit_compile else "plain"] = speed.steps(model, images, jit_compile)["train"]
        trained.append((losses, models.values(model.distribution.trainable_variables)))
    rates = {kind: len(images) * rate for kind, rate in turns.rates(steps, seconds=1).items()}
    # `fit` traced each step once, and nothing else did.
    assert [step.func.experimental_get_tracing_count() for step in steps.values()] == [1, 1]
    return trained, rates
