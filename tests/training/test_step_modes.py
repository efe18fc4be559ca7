"""All ways in which Keras runs a training step lead to the same numbers."""

import numpy as np
import pytest
import tensorflow as tf

from tests.convolutions import convolutions, expected_convolutions
from tests.models import flow, images, tiny, values
from tfp_realnvp import RunningStatistics

MODES = {
    "plain": {},
    "three_steps": {"steps_per_execution": 3},
    "xla": {"jit_compile": True},
    "eager": {"run_eagerly": True},
}


def start(target, source):
    for a, b in zip(target.variables, source.variables, strict=True):
        a.assign(b)


@pytest.fixture(scope="module")
def origin():
    """The weights that all modes start from, and the statistics of a batch under them."""
    weights, batch = tiny(residual_blocks=1), tiny(residual_blocks=1)
    start(batch, weights)
    statistics = [m for m in batch.submodules if isinstance(m, RunningStatistics)]
    assert len(statistics) == 5  # The network has four, and the flow has its own.
    for m in statistics:
        m.momentum = 0.0  # The running values are then those of the last batch.
    batch.log_prob(tf.cast(images(4), tf.float32) + 0.5, bijector_kwargs={"training": True})
    return weights, values(batch.non_trainable_variables)


@pytest.mark.parametrize("mode", MODES)
def test_running_statistics_move_once_a_step(kind, mode, origin):
    weights, batch = origin
    distribution = tiny(residual_blocks=1)
    start(distribution, weights)
    model = kind.compiled(distribution, optimizer=kind.still(), dequantize=False, options=MODES[mode])
    pixels = tf.data.Dataset.from_tensors(images(4).astype(np.float32) + 0.5).repeat(3)
    model.fit(pixels, verbose=0)
    for v, initial, of_batch in zip(
        distribution.non_trainable_variables, values(weights.non_trainable_variables), batch, strict=True
    ):
        expected = 0.9**3 * initial + (1 - 0.9**3) * of_batch
        np.testing.assert_allclose(v, expected, rtol=1e-5, atol=1e-6, err_msg=v.name)


@pytest.fixture(scope="module")
def plain_run(kind, origin):
    return train(kind, origin[0], {})


def train(kind, weights, options, dequantize=True):
    distribution = tiny(residual_blocks=1)
    start(distribution, weights)
    # Without this epsilon, Adam would take whole steps along gradients that are 0 but for rounding.
    optimizer = kind.optimizers.Adam(1e-3, epsilon=1e-2)
    model = kind.compiled(distribution, optimizer=optimizer, options=options, dequantize=dequantize)
    history = model.fit(images(24), batch_size=4, shuffle=False, epochs=2, verbose=0).history
    return history, values(distribution.variables), model.evaluate(images(), verbose=0)


def assert_trained_alike(run, expected_run):
    (history, weights, evaluated), (expected_history, expected_weights, expected_evaluated) = run, expected_run
    np.testing.assert_allclose(history["loss"], expected_history["loss"], rtol=1e-5)
    np.testing.assert_allclose(evaluated, expected_evaluated, rtol=1e-5)
    for value, expected in zip(weights, expected_weights, strict=True):
        # There are 12 steps of at most 1e-3, and this is far below one of them.
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", ["three_steps", "eager"])
def test_modes_train_alike(kind, mode, origin, plain_run):
    assert_trained_alike(train(kind, origin[0], MODES[mode]), plain_run)


def test_xla_trains_alike(kind, origin):
    # There is no noise here, as XLA draws other numbers for the same seed.
    weights = origin[0]
    run = train(kind, weights, MODES["xla"], dequantize=False)
    assert_trained_alike(run, train(kind, weights, {}, dequantize=False))


def test_a_step_evaluates_each_network_once(kind):
    distribution = flow()
    model = kind.compiled(distribution)
    strategy = model.distribute_strategy
    for step in (model.train_step, model.test_step):
        traced = tf.function(lambda x, step=step: strategy.run(step, (x,))).get_concrete_function(tf.constant(images()))
        assert convolutions(traced) == expected_convolutions(distribution)
