"""`recalibrate` estimates running statistics anew, and the gap to training mode tells whether they need it."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tests.models import SHAPE, assert_equal, compiled, images, normal, on_prior, tiny, values
from tfp_realnvp import (
    AffineCoupling,
    Checkerboard,
    Composition,
    CouplingNetwork,
    FlowBatchNorm,
    NetworkOptions,
    RunningStatistics,
    bits_per_dim,
    recalibrate,
    training_mode_bits_per_dim,
)

PRESETS = ("paper", "released")


def pixels(*sizes):
    """Batches of continuous pixels, which differ in mean and spread."""
    return [
        (images(size, seed=i) * np.float32(0.3 + 0.1 * i) + np.float32(20 * i + 0.5)) for i, size in enumerate(sizes)
    ]


def statistics(distribution):
    return [m for m in distribution.submodules if isinstance(m, RunningStatistics)]


def inference_bits(distribution, batches):
    return np.concatenate([bits_per_dim(distribution.log_prob(x), SHAPE) for x in batches])


def gap(distribution, batches):
    """How far the bits/dim of inference are above those of training."""
    return inference_bits(distribution, batches).mean() - training_mode_bits_per_dim(distribution, batches).mean()


def spoil(distribution):
    for m in statistics(distribution):
        m.mean.assign_add(tf.ones_like(m.mean))
        m.variance.assign(tf.fill(m.variance.shape, 100.0))


@pytest.mark.parametrize("running_average", [False, True])
def test_the_first_layer_has_its_closed_form(running_average):
    norm = FlowBatchNorm(1, running_average=running_average)
    batches = pixels(3, 5, 2)
    recalibrate(on_prior(norm), batches)
    # All batches have the same weight, whatever their sizes are.
    mean = np.mean([x.astype(np.float64).mean() for x in batches])
    variance = np.mean([x.astype(np.float64).var() for x in batches])
    np.testing.assert_allclose(norm.statistics.mean, [mean], rtol=1e-6)
    np.testing.assert_allclose(norm.statistics.variance, [variance], rtol=1e-6)


@pytest.mark.parametrize("running_average", [False, True])
def test_the_batch_itself_has_no_gap(running_average):
    distribution = on_prior(FlowBatchNorm(1, Checkerboard(), running_average=running_average))
    batches = pixels(8)
    assert gap(distribution, batches) > 0.05
    recalibrate(distribution, batches)
    trained = training_mode_bits_per_dim(distribution, batches)
    np.testing.assert_allclose(trained, inference_bits(distribution, batches), rtol=1e-6)
    # NumPy computes the same by the formula of the normal distribution.
    x = batches[0].astype(np.float64)
    np.testing.assert_allclose(trained, norm_bits(x, Checkerboard()(SHAPE, tf.bool).numpy()), rtol=1e-5)


def norm_bits(x, mask):
    """Bits/dim [N] of a standard normal behind a batch norm that leaves the mask alone."""
    changed = x * ~mask
    variance = changed.var() + 1e-4
    y = np.where(mask, x, (x - changed.mean()) / np.sqrt(variance))
    log_prob = -0.5 * y**2 - 0.5 * np.log(2 * np.pi) - 0.5 * np.log(variance) * ~mask
    return -log_prob.sum((1, 2, 3)) / (mask.size * np.log(2))


@pytest.mark.parametrize("preset", PRESETS)
def test_every_layer_has_the_mean_over_batches(preset):
    distribution = tiny(preset=preset, residual_blocks=1)
    batches = pixels(4, 8, 4)
    before = values(distribution.trainable_variables)
    expected = []
    for m in statistics(distribution):
        m.momentum = 0.0  # Training then leaves the statistics of the last batch, and normalises by them.
    for x in batches:
        distribution.log_prob(x, bijector_kwargs={"training": True})
        expected.append(values(distribution.non_trainable_variables))
    recalibrate(distribution, batches)
    assert len(statistics(distribution)) == 5
    for v, of_batches in zip(distribution.non_trainable_variables, zip(*expected, strict=True), strict=True):
        np.testing.assert_allclose(v, np.mean(of_batches, 0), rtol=1e-5, atol=1e-6, err_msg=v.name)
    assert_equal(values(distribution.trainable_variables), before)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_spoiled_model_is_repaired(preset):
    distribution = tiny(preset=preset, residual_blocks=1)
    batches = [images(32, seed=i) + np.float32(0.5) for i in range(4)]
    spoil(distribution)
    trained = training_mode_bits_per_dim(distribution, batches)
    assert gap(distribution, batches) > 0.05
    recalibrate(distribution, batches)
    assert abs(gap(distribution, batches)) < 0.01
    # Those of training never depended on the running statistics.
    np.testing.assert_array_equal(training_mode_bits_per_dim(distribution, batches), trained)
    held_out = [images(32, seed=9) + np.float32(0.5)]
    assert abs(gap(distribution, held_out)) < 0.05


def test_broken_statistics_are_repaired():
    distribution = tiny()
    for m in statistics(distribution):
        m.variance.assign(tf.fill(m.variance.shape, np.nan))
    recalibrate(distribution, pixels(8))
    assert np.isfinite(inference_bits(distribution, pixels(8))).all()


@pytest.mark.parametrize("preset", PRESETS)
def test_training_mode_changes_nothing(preset):
    distribution = tiny(preset=preset)
    batches = pixels(4, 3)
    before = values(distribution.variables)
    found = training_mode_bits_per_dim(distribution, batches)
    assert found.shape == (7,)
    assert_equal(values(distribution.variables), before)
    if preset == "released":  # Here training normalises by the batch alone.
        expected = [bits_per_dim(distribution.log_prob(x, bijector_kwargs={"training": True}), SHAPE) for x in batches]
        np.testing.assert_allclose(found, np.concatenate(expected), rtol=1e-6)
    batches[1][0, 0, 0, 0] = np.nan
    assert np.isnan(training_mode_bits_per_dim(distribution, batches)[4:]).any()


def test_distributions_without_running_statistics_are_scored():
    x = images(4) + np.float32(0.5)
    np.testing.assert_allclose(training_mode_bits_per_dim(normal(), [x]), inference_bits(normal(), [x]), rtol=1e-6)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_batch_that_is_not_finite_changes_nothing(preset):
    distribution = tiny(preset=preset)
    batches = pixels(4, 4)
    batches[1][0, 0, 0, 0] = np.nan
    before = values(distribution.variables)
    with pytest.raises(FloatingPointError, match=r"batch 2 of `batches`.*'tiny/.*statistics'.*No running statistics"):
        recalibrate(distribution, batches)
    assert_equal(values(distribution.variables), before)

    def broken():
        yield pixels(4)[0]
        raise KeyError

    with pytest.raises(KeyError):
        recalibrate(distribution, broken())
    assert_equal(values(distribution.variables), before)


def test_state_of_keras_layers_stays():
    # These layers move their state in every call in training mode.
    layers = [tf_keras.layers.Conv2D(2, 3, padding="same"), tf_keras.layers.BatchNormalization(momentum=0.5)]
    conditioner = tf_keras.Sequential(layers)
    conditioner.build([None, *SHAPE])
    parts = [AffineCoupling(Checkerboard(), conditioner), FlowBatchNorm(1)]
    distribution = on_prior(Composition(parts, name="with_keras"))
    before = values(conditioner.non_trainable_variables)
    training_mode_bits_per_dim(distribution, pixels(4, 4))
    recalibrate(distribution, pixels(4, 4))
    assert_equal(values(conditioner.non_trainable_variables), before)
    distribution.log_prob(pixels(4)[0], bijector_kwargs={"training": True})
    assert any(np.any(a != b) for a, b in zip(values(conditioner.non_trainable_variables), before, strict=True))


def test_batches_of_all_sizes_share_one_trace():
    traces = []

    def conditioner(x):
        traces.append(x.shape)
        return tf.concat([x, x], -1)

    recalibrate(
        on_prior(Composition([AffineCoupling(Checkerboard(), conditioner), FlowBatchNorm(1)], name="traced")),
        pixels(4, 2, 7),
    )
    assert len(traces) == 1


def test_a_shared_network_averages_over_its_uses():
    norm = FlowBatchNorm(1)
    batches = pixels(4, 6)
    recalibrate(on_prior(Composition([norm, norm], name="twice")), batches)
    expected = []
    for x in batches:
        y = (x - x.mean()) / np.sqrt(x.var() + 1e-4)
        expected += [[x.mean(), x.var()], [y.mean(), y.var()]]
    np.testing.assert_allclose([norm.statistics.mean[0], norm.statistics.variance[0]], np.mean(expected, 0), rtol=1e-5)


def test_eager_mode_gives_the_same():
    distribution = tiny(residual_blocks=1)
    recalibrate(distribution, pixels(4, 3))
    expected = values(distribution.non_trainable_variables)
    spoil(distribution)
    tf.config.run_functions_eagerly(True)
    try:
        recalibrate(distribution, pixels(4, 3))
    finally:
        tf.config.run_functions_eagerly(False)
    for found, value in zip(values(distribution.non_trainable_variables), expected, strict=True):
        np.testing.assert_allclose(found, value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("form", ["pairs", "tf.data"])
def test_conditional_flows_are_recalibrated(form):
    distribution = tiny(conditioning_size=2)
    for v in distribution.trainable_variables:
        if "conditioning_weights" in v.name:
            v.assign(tf.ones_like(v))
    x, vectors = pixels(8)[0], np.random.RandomState(1).randn(8, 2).astype(np.float32)
    pairs = [(x[:4], vectors[:4]), (x[4:], vectors[4:])]
    if form == "tf.data":
        pairs = tf.data.Dataset.from_tensor_slices((x, vectors)).batch(4)
    recalibrate(distribution, pairs)
    with_vectors = values(distribution.non_trainable_variables)
    found = training_mode_bits_per_dim(distribution, pairs)
    expected = [
        bits_per_dim(
            distribution.log_prob(x[i : i + 4], bijector_kwargs={"training": True, "conditioning": vectors[i : i + 4]}),
            SHAPE,
        )
        for i in (0, 4)
    ]
    np.testing.assert_allclose(found, np.concatenate(expected), rtol=1e-6)
    recalibrate(distribution, [(x[:4], 0 * vectors[:4]), (x[4:], 0 * vectors[4:])])
    assert any(np.any(a != b) for a, b in zip(values(distribution.non_trainable_variables), with_vectors, strict=True))


def test_float64_and_a_network_in_bfloat16_are_recalibrated():
    distribution = tiny()
    recalibrate(distribution, [x.astype(np.float64) for x in pixels(4, 4)])
    expected = values(distribution.non_trainable_variables)
    recalibrate(distribution, pixels(4, 4))
    assert_equal(values(distribution.non_trainable_variables), expected)
    network = CouplingNetwork(Checkerboard(), 1, 2, 1, NetworkOptions(compute_dtype=tf.bfloat16))
    narrow = on_prior(Composition([AffineCoupling(Checkerboard(), network)], name="narrow"))
    recalibrate(narrow, [x / 256 for x in pixels(32)])
    assert abs(gap(narrow, [x / 256 for x in pixels(32)])) < 0.01


@pytest.mark.parametrize("averaging", [None, 0.5])
def test_statistics_stay_with_the_weights_that_evaluate_uses(averaging):
    # The step is large, so that the last weights and their averages differ.
    model = compiled(
        tiny(residual_blocks=1), averaging=averaging, optimizer=tf_keras.optimizers.Adam(0.1), dequantize=False
    )
    distribution, x = model.distribution, images(32) + np.float32(0.5)
    model.fit(x, batch_size=8, verbose=0)
    weights, own = values(distribution.trainable_variables), values(distribution.non_trainable_variables)
    before = model.evaluate(x, verbose=0)[1]
    with model.evaluation_weights():
        recalibrate(distribution, [x])
        expected = inference_bits(distribution, [x])
        trained = training_mode_bits_per_dim(distribution, [x])
    assert_equal(values(distribution.trainable_variables), weights)
    if averaging is not None:
        assert_equal(values(distribution.non_trainable_variables), own)  # They belong to the last weights.
    for _ in range(2):  # Evaluation swaps weights too, and keeps them.
        np.testing.assert_allclose(model.evaluate(x, verbose=0)[1], expected.mean(), rtol=1e-6)
        np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-6)
    assert abs(expected.mean() - trained.mean()) < 0.01 < abs(before - trained.mean())
    if averaging is None:
        return
    averages = values(model.averages.averages)
    with pytest.raises(FloatingPointError), model.evaluation_weights():
        recalibrate(distribution, [x, np.nan * x])
    assert_equal(values(model.averages.averages), averages)
