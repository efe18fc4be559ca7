"""Recomputed gradients are the same numbers as kept ones, and running statistics still move once."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tests.models import SHAPE, compiled, couplings, images, on_prior, values
from tfp_realnvp import AffineCoupling, ChannelHalves, RealNVPImage, recalibrate
from tfp_realnvp.runtime.recomputation import read_once, recomputed, recomputing

CASES = {
    "paper": {"preset": "paper"},
    "released": {"preset": "released"},
    "without batch norm": {"batch_norm": False},
    "additive": {"additive": True, "residual_blocks": 0},
    "bfloat16": {"compute_dtype": tf.bfloat16},
}


def flow(dtype=tf.float32, **options):
    """A flow of four couplings that is moved away from its start.

    Its variables are the same however it computes gradients.
    """
    options = {"num_scales": 1, "width": 2, "residual_blocks": 1, "conditioning_size": 3} | options
    return moved(RealNVPImage(1, dtype=dtype, **options), dtype)


def moved(bijector, dtype=tf.float32):
    for i, v in enumerate(bijector.variables):
        noise = tf.cast(tf.random.stateless_normal(v.shape, [i, 0]), dtype)
        v.assign(tf.exp(0.3 * noise) if "variance" in v.name else 0.2 * noise + 0.1)
    return bijector


def two_couplings(**options):
    """A flow of two couplings, which traces in half the time of `flow`."""
    return moved(couplings(2, residual_blocks=1, **options))


def inputs(dtype):
    random = np.random.RandomState(0)
    return tf.constant(random.uniform(0, 256, [5, *SHAPE]), dtype), tf.constant(random.randn(5, 3), dtype)


def gradients(bijector, training=True, **function):
    """The log likelihood, its gradients, and the running statistics afterwards.

    The evaluation is traced if there are keywords for `tf.function`.
    """

    def evaluate(pixels, conditioning):
        with tf.GradientTape() as tape:
            tape.watch((pixels, conditioning))
            keywords = {"training": training, "conditioning": conditioning}
            log_prob = on_prior(bijector, bijector.dtype).log_prob(pixels, bijector_kwargs=keywords)
        sources = [pixels, conditioning, *bijector.trainable_variables]
        return [log_prob, *tape.gradient(log_prob, sources, unconnected_gradients="zero")]

    evaluate = tf.function(evaluate, autograph=False, **function) if function else evaluate
    return values(evaluate(*inputs(bijector.dtype))), values(bijector.non_trainable_variables)


def assert_close(ours, expected, tolerance=1e-5, least=1e-8):
    """Compares with an error relative to the largest number of each array, but never below `least`."""
    for mine, theirs in zip(tf.nest.flatten(ours), tf.nest.flatten(expected), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=max(tolerance * np.abs(theirs).max(), least))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_likelihood_gradients_and_statistics_are_the_same(options, training):
    found = gradients(flow(**options, recompute_gradients=True), training)
    assert_close(found, gradients(flow(**options), training))
    assert all(np.any(gradient) for gradient in found[0][1:3])  # These go to pixels and conditioning.


@pytest.mark.parametrize(
    ("preset", "dtype"),
    [
        ("released", tf.float32),
        ("paper", tf.float64),
        pytest.param("released", tf.float64, marks=pytest.mark.slow),
        pytest.param("paper", tf.float32, marks=pytest.mark.slow),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_graph_and_xla_compute_the_same(preset, dtype):
    expected = gradients(flow(dtype, preset=preset))
    for jit_compile in (False, True):
        bijector = flow(dtype, preset=preset, recompute_gradients=True)
        found = gradients(bijector, jit_compile=jit_compile)
        if dtype == tf.float64:
            assert_close(found, expected, 1e-8, 1e-11)
        else:
            # Sums have another order, and gradients of biases before a batch norm are 0 but for the rounding of others.
            rounding = np.finfo(np.float32).eps * max(np.abs(array).max() for array in expected[0])
            assert_close(found, expected, 2e-4, rounding)


def test_samples_have_the_same_gradients():
    """Samples in training mode use the statistics of the batch, and don't move the running ones."""
    results = []
    for recompute in (True, False):
        bijector = flow(recompute_gradients=recompute)
        pixels, conditioning = inputs(tf.float32)
        with tf.GradientTape() as tape:
            sample = bijector.forward(pixels / 128 - 1, training=True, conditioning=conditioning)
        results.append(values([sample, *tape.gradient(sample, bijector.trainable_variables), *bijector.variables]))
    assert_close(*results)


def test_statistics_are_read_before_they_move():
    """A sample has its gradient even if a training step of the same tape has moved the statistics that it used."""
    results = []
    for recompute in (True, False):
        bijector = flow(recompute_gradients=recompute)
        pixels, conditioning = inputs(tf.float32)
        with tf.GradientTape() as tape:
            sample = bijector.forward(pixels / 128 - 1, conditioning=conditioning)
            bijector.inverse(pixels, training=True, conditioning=conditioning)
        results.append(values(tape.gradient(sample, bijector.trainable_variables)))
    assert_close(*results)


def test_whole_numbers_may_be_conditioned_on():
    pixels, _ = inputs(tf.float32)
    classes = np.eye(3, dtype=np.int32)[[0, 1, 2, 0, 1]]
    results = []
    for recompute in (True, False):
        bijector = flow(recompute_gradients=recompute)
        with tf.GradientTape() as tape:
            latents = bijector.inverse(pixels, conditioning=classes)
        results.append(values(tape.gradient(latents, bijector.trainable_variables)))
    assert_close(*results)


@pytest.mark.parametrize("jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_fit_computes_the_same(jit_compile):
    results = []
    for recompute in (True, False):
        model = compiled(
            on_prior(two_couplings(recompute_gradients=recompute)),
            optimizer=tf_keras.optimizers.SGD(1e-3),
            options={"jit_compile": jit_compile, "steps_per_execution": 2},
        )
        losses = model.fit(images(16), batch_size=4, shuffle=False, verbose=0).history["loss"]
        results.append([losses, *values(model.distribution.variables)])
    assert_close(*results, 1e-4)


def test_recalibration_computes_the_same():
    results = []
    for recompute in (True, False):
        bijector = flow(conditioning_size=None, recompute_gradients=recompute)
        recalibrate(on_prior(bijector), [inputs(tf.float32)[0]] * 2)
        results.append(values(bijector.variables))
    assert_close(*results, 1e-4)


def test_a_conditioner_of_ones_own_is_told_once_to_update():
    seen = []

    def conditioner(x, update_statistics):
        seen.append(update_statistics)
        return tf.concat([tf.sin(x), x], -1)

    x = tf.random.stateless_normal([2, 4, 4, 2], [0, 1])
    with tf.GradientTape() as tape:
        tape.watch(x)
        latents = AffineCoupling(ChannelHalves(0), conditioner, recompute_gradients=True).inverse(x)
    tape.gradient(latents, x)
    assert seen == [True, False]


def test_evaluations_may_be_within_evaluations():
    variable, seen = tf.Variable(2.0), []

    def inner(x):
        seen.append(("inner", recomputing()))
        return x * read_once(variable.read_value)

    def outer(x):
        seen.append(("outer", recomputing()))
        y = x * read_once(variable.read_value) ** 2 + recomputed(inner, x)
        if not recomputing():
            variable.assign(5.0)
        return y

    x = tf.constant(3.0)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = recomputed(outer, x)
    assert y == 3 * (4 + 2)
    assert [tape.gradient(y, x) for _ in range(2)] == [4 + 2] * 2
    assert seen == [("outer", False), ("inner", False)] + [("outer", True), ("inner", True), ("inner", True)] * 2


def test_second_derivatives_are_refused():
    bijector = flow(conditioning_size=None, recompute_gradients=True)
    pixels, _ = inputs(tf.float32)
    with tf.GradientTape() as second:
        second.watch(pixels)
        with tf.GradientTape() as first:
            first.watch(pixels)
            latents = bijector.inverse(pixels)
        gradient = first.gradient(latents, pixels)
    with pytest.raises(NotImplementedError, match="recompute_grad"):
        second.gradient(gradient, pixels)
