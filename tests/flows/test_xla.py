"""The whole training step compiles under XLA with static shapes, as a TPU needs it."""

import concurrent.futures
import dataclasses
import multiprocessing

import numpy as np
import pytest
import tensorflow as tf

from examples import config as config_lib
from examples.benchmarks import speed, turns
from examples.models import Form, build_distribution
from tests import models
from tfp_realnvp import PRESETS, Adam, FlowModel, Muon

# A small flow keeps of each config's flow its kind, its scales and its dtype.
SMALL = {
    config_lib.Flow: [{"width": 2, "residual_blocks": 1, "preset": preset} for preset in PRESETS],
    config_lib.Glow: [{"width": 2, "residual_blocks": 1, "depth": 2}],
}
CONFIGS = {}
for _name in reversed(config_lib.names()):
    _config = config_lib.get(_name)
    for _changes in SMALL[type(_config.flow)]:
        _flow = dataclasses.replace(_config.flow, **_changes)
        CONFIGS[str(_flow)] = (_name, _flow, _config.optimizer)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "flow", "optimizer"), CONFIGS.values(), ids=lambda v: getattr(v, "preset", str(v)))
def test_the_training_step_compiles_and_is_the_plain_one(name, flow, optimizer, record_property):
    # XLA never frees what it has compiled, which is 2 GB a step and more. Hence each step has a process, which ends.
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        trained, rates = pool.submit(_train, flow, optimizer).result()
    (losses, weights), (plain_losses, plain_weights) = trained
    np.testing.assert_allclose(losses, plain_losses, rtol=0.02)  # XLA draws other noise.
    for ours, theirs in zip(weights, plain_weights, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=5e-5)
    assert all(0 < rate < np.inf for rate in rates.values())
    text = ", ".join(f"{kind} {rate:,.0f} images/s" for kind, rate in rates.items())
    ratio = rates["XLA"] / rates["plain"]
    record_property("speed", f"training step of {name} in small, {flow.preset}: {text}, XLA / plain {ratio:.2f}")


def _train(flow, optimizer):
    """The losses and weights of two steps by XLA and of two plain ones, and the images/s of both."""
    side = 2**flow.num_scales
    images = np.random.RandomState(0).randint(0, 256, [8, side, side, 1]).astype(np.uint8)
    trained, steps = [], {}
    for jit_compile in (True, False):
        tf.random.set_seed(0)
        model = FlowModel(build_distribution(flow, Form(images.shape[1:], 256, ())), averaging=0.999)
        # At this rate neither rounding nor the noise of another generator moves anything far.
        make = {"adam": Adam, "muon": Muon}[optimizer]
        model.compile(make(1e-5, epsilon=1e-8, global_clipnorm=100.0), jit_compile=jit_compile)
        batches = tf.data.Dataset.from_tensors(images).repeat()
        losses = model.fit(batches, steps_per_epoch=1, epochs=2, verbose=0).history["bits_per_dim"]
        steps["XLA" if jit_compile else "plain"] = speed.steps(model, images, jit_compile)["train"]
        trained.append((losses, models.values(model.distribution.trainable_variables)))
    rates = {kind: len(images) * rate for kind, rate in turns.rates(steps, seconds=1).items()}
    # `fit` traced each step once, and nothing else did.
    assert [step.func.experimental_get_tracing_count() for step in steps.values()] == [1, 1]
    return trained, rates
