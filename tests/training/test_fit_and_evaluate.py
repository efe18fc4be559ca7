"""`FlowModel`: data it takes, numbers it reports, averages, and the ways in which Keras runs a step."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tests.bijectors.test_one_evaluation import convolutions, expected_convolutions
from tests.models import (
    DIMENSIONS,
    SHAPE,
    assert_equal,
    compiled,
    copy_weights,
    flow,
    images,
    normal,
    normal_bits,
    on_prior,
    one_coupling,
    tiny,
    values,
)
from tfp_realnvp import FlowModel, RealNVPImage, RunningStatistics, dequantize

tfb = tfp.bijectors
tfd = tfp.distributions

EVALUATION = 1  # The stream of noise, see `FlowModel._pixels`; 0 is training.


def batched(*arrays, size=4):
    return tf.data.Dataset.from_tensor_slices(arrays if len(arrays) > 1 else arrays[0]).batch(size)


def still():
    """An optimizer that leaves the weights where they are."""
    return tf_keras.optimizers.SGD(0.0)


def noisy(x, seed=0, stream=EVALUATION, size=4, first=0, draw=0):
    """The pixels of each batch, as the documentation promises them."""
    parts = []
    for i in range(0, len(x), size):
        part = x[i : i + size].astype(np.float32)
        key = np.array([seed, draw * 2**32 + 2 * (first + i // size) + stream])
        parts.append(part + tf.random.stateless_uniform(part.shape, key).numpy())
    return np.concatenate(parts)


def by_steps(model, x, steps):
    """One value of the loss and of bits/dim for each training step on `x`."""
    return model.fit(x, batch_size=len(x), epochs=steps, shuffle=False, verbose=0).history


@pytest.fixture(scope="module")
def normal_model():
    return compiled(normal(), optimizer=still(), seed=3)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32])
@pytest.mark.parametrize("form", ["numpy", "tensor", "tf.data"])
def test_evaluate_is_the_closed_form(normal_model, dtype, form):
    x = images(10).astype(dtype)  # The last batch has 2 of 4.
    data = {"numpy": x, "tensor": tf.constant(x), "tf.data": batched(x)}[form]
    size = {} if form == "tf.data" else {"batch_size": 4}
    loss, bits = normal_model.evaluate(data, **size, verbose=0)
    expected = normal_bits(noisy(x, seed=3))
    np.testing.assert_allclose(bits, expected.mean(), rtol=1e-6)
    assert loss == bits  # Nothing is regularized.
    predicted = normal_model.predict(data, **size, verbose=0)
    assert predicted.shape == (10,)
    np.testing.assert_allclose(predicted, expected, rtol=1e-6)


def test_predict_by_draws_of_the_noise():
    x = images(10)
    model = compiled(normal(), seed=3)

    def predict(draw):
        return model.predict(x, batch_size=4, verbose=0, draw=draw)

    for draw in (0, 1, 7, 2**31 - 1):
        np.testing.assert_allclose(predict(draw), normal_bits(noisy(x, seed=3, draw=draw)), rtol=1e-6)
    assert model.predict_function.experimental_get_tracing_count() <= 2  # Batches of 4, then of any size.
    first = predict(1)
    bits = model.evaluate(x, batch_size=4, verbose=0)[1]  # Draw 0, after any other.
    np.testing.assert_allclose(bits, normal_bits(noisy(x, seed=3)).mean(), rtol=1e-6)
    assert_equal([first], [predict(1)])
    assert np.abs(first - predict(2)).min() > 0


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32])
@pytest.mark.parametrize("form", ["numpy", "tf.data"])
def test_fit_reports_the_closed_form(dtype, form):
    model = compiled(normal(), optimizer=still(), seed=3)
    x = images(10).astype(dtype)
    data, size = (x, {"batch_size": 4}) if form == "numpy" else (batched(x), {})
    history = model.fit(data, **size, epochs=2, shuffle=False, verbose=0).history
    # The noise goes on from epoch to epoch: 3 batches each.
    expected = [normal_bits(noisy(x, seed=3, stream=0, first=first)).mean() for first in (0, 3)]
    np.testing.assert_allclose(history["bits_per_dim"], expected, rtol=1e-6)
    np.testing.assert_allclose(history["loss"], expected, rtol=1e-6)


def test_fit_takes_a_generator():
    # Keras tells nothing of the shapes then; the model knows them.
    x = images(8)
    model = compiled(tiny(), optimizer=still())
    history = model.fit((x[i : i + 4] for i in (0, 4)), verbose=0).history
    again = compiled(model.distribution, optimizer=still()).fit(x, batch_size=4, shuffle=False, verbose=0).history
    np.testing.assert_allclose(history["bits_per_dim"], again["bits_per_dim"], rtol=1e-6)


def test_sample_weights():
    x, weights = images(4), np.array([0.0, 1.0, 2.0, 5.0], np.float32)
    model = compiled(normal(), optimizer=still())
    history = model.fit(x, batch_size=4, sample_weight=weights, shuffle=False, verbose=0).history
    bits = normal_bits(noisy(x, stream=0))
    # As in Keras: the loss is the sum over the batch's size, the metric over the weights.
    np.testing.assert_allclose(history["loss"][0], (weights * bits).mean(), rtol=1e-6)
    np.testing.assert_allclose(history["bits_per_dim"][0], (weights * bits).sum() / weights.sum(), rtol=1e-6)
    bits = normal_bits(noisy(x))
    # By tf.data, which holds the place of the conditioning by None.
    data = batched(x, weights).map(lambda images, weights: (images, None, weights))
    loss, evaluated = model.evaluate(data, verbose=0)
    np.testing.assert_allclose(loss, (weights * bits).mean(), rtol=1e-6)
    np.testing.assert_allclose(evaluated, (weights * bits).sum() / weights.sum(), rtol=1e-6)


def test_the_weighted_loss_is_the_one_minimised():
    x, weights = images(4), np.array([0.0, 0.0, 0.0, 1.0], np.float32)
    model = compiled(normal(), optimizer=tf_keras.optimizers.SGD(1.0), dequantize=False)
    model.fit(x, sample_weight=weights, batch_size=4, verbose=0)
    # Gradient of 0.5 ((x - loc) / scale)^2 / 4 images, of the only image with a weight.
    np.testing.assert_allclose(model.distribution.distribution.loc, 100 + (x[3] - 100.0) / 60**2 / 4, rtol=1e-6)


def test_continuous_pixels(normal_model):
    x = images(8) + np.random.RandomState(1).uniform(0, 1, [8, *SHAPE]).astype(np.float32)
    with pytest.raises(ValueError, match="dequantize=False"):
        normal_model.evaluate(x, verbose=0)
    model = compiled(normal(), dequantize=False)
    np.testing.assert_allclose(model.evaluate(x, verbose=0)[1], normal_bits(x).mean(), rtol=1e-6)
    np.testing.assert_allclose(model.fit(x, verbose=0).history["bits_per_dim"][0], normal_bits(x).mean(), rtol=1e-6)


def test_predict_under_a_mixed_policy():
    # Keras casts the inputs of a model to its compute dtype: 8 bits of digits are too few for pixels.
    x = images(8) + np.float32(0.37)
    tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        predicted = compiled(normal(), dequantize=False).predict(x, verbose=0)
    finally:
        tf_keras.mixed_precision.set_global_policy("float32")
    np.testing.assert_allclose(predicted, normal_bits(x), rtol=1e-6)


def with_influence(bijector):
    """Conditioning starts without any."""
    for v in bijector.trainable_variables:
        if "conditioning_weights" in v.name:
            v.assign(tf.random.stateless_normal(v.shape, [4, 5]))
    return bijector


@pytest.mark.parametrize("wrapped", [False, True], ids=["flow", "chain"])
def test_pairs_of_images_and_conditioning(wrapped):
    if wrapped:
        bijector = with_influence(one_coupling(conditioning_size=2))
        distribution = on_prior(tfb.Chain([bijector, tfb.Scale(1.1)]))
    else:
        bijector = with_influence(RealNVPImage(1, num_scales=1, width=2, residual_blocks=0, conditioning_size=2))
        distribution = on_prior(bijector)
    x, vectors = images(8), np.random.RandomState(1).randn(8, 2).astype(np.float32)
    model = compiled(distribution, optimizer=still())
    keywords = {"conditioning": vectors}
    log_prob = distribution.log_prob(noisy(x), bijector_kwargs={bijector.name: keywords} if wrapped else keywords)
    loss, bits = model.evaluate(x, vectors, batch_size=4, verbose=0)
    np.testing.assert_allclose(bits, -np.mean(log_prob) / (DIMENSIONS * np.log(2)), rtol=1e-6)
    assert model.evaluate(batched(x, vectors), verbose=0) == [loss, bits]
    predicted = model.predict(batched(x, vectors), verbose=0)
    np.testing.assert_allclose(predicted.mean(), bits, rtol=1e-6)
    assert_equal([predicted], [model.predict((x, vectors), batch_size=4, verbose=0)])
    assert abs(model.evaluate(x, vectors[::-1], batch_size=4, verbose=0)[1] - bits) > 1e-4
    before = values(bijector.non_trainable_variables)
    plain = model.fit(x, vectors, batch_size=4, shuffle=False, verbose=0).history
    # `training` arrived too: all the running statistics moved.
    assert all(np.any(a != b) for a, b in zip(before, values(bijector.non_trainable_variables), strict=True))
    model.optimizer.iterations.assign(0)
    assert model.fit(batched(x, vectors), verbose=0).history == plain


def test_conditioning_for_a_distribution_that_takes_none(normal_model):
    with pytest.raises(ValueError, match="takes no conditioning"):
        normal_model.evaluate(images(), np.zeros([8, 2]), verbose=0)


def test_a_variable_without_a_gradient():
    distribution = normal()
    distribution.unused = tf.Variable(1.0, name="unused")
    compiled(distribution).fit(images(), verbose=0)
    assert distribution.unused.numpy() == 1.0


def test_loss_holds_the_penalty():
    distribution = flow()
    penalty = sum(float(tf.reduce_sum(v**2)) for v in distribution.bijector.regularized_variables)
    assert penalty > 0
    model = compiled(distribution, optimizer=still(), l2=0.5)
    expected = 0.5 * penalty / (DIMENSIONS * np.log(2))
    for loss, bits in (model.evaluate(images(), verbose=0), [v[0] for v in by_steps(model, images(), 1).values()]):
        # A difference of two numbers near 8, each to float32.
        np.testing.assert_allclose(loss - bits, expected, atol=2e-6)


def test_evaluation_is_repeatable():
    model = compiled(tiny())
    first = model.evaluate(images(), batch_size=4, verbose=0)
    predicted = model.predict(images(), batch_size=4, verbose=0)
    assert model.evaluate(images(), batch_size=4, verbose=0) == first
    assert_equal([predicted], [model.predict(images(), batch_size=4, verbose=0)])
    np.testing.assert_allclose(predicted.mean(), first[1], rtol=1e-6)
    # In between, nothing that training has done changes the noise.
    start = values(model.distribution.variables)
    model.fit(images(), verbose=0)
    for v, value in zip(model.distribution.variables, start, strict=True):
        v.assign(value)
    assert model.evaluate(images(), batch_size=4, verbose=0) == first


def test_training_noise():
    model = compiled(normal(), optimizer=still())
    history = by_steps(model, images(), 4)["loss"]
    assert len(set(history)) == 4  # Same images, same weights: only the noise differs.
    assert by_steps(compiled(normal(), optimizer=still()), images(), 4)["loss"] == history
    other = by_steps(compiled(normal(), optimizer=still(), seed=1), images(), 4)["loss"]
    assert not set(other) & set(history)


def test_same_seed_same_training():
    models = [compiled(tiny(), seed=seed) for seed in (5, 5, 6)]
    for model in models[1:]:
        copy_weights(models[0], model)
    histories = [by_steps(model, images(), 4)["loss"] for model in models]
    assert histories[0] == histories[1] != histories[2]
    assert_equal(values(models[0].distribution.variables), values(models[1].distribution.variables))


def test_default_optimizer():
    model = compiled(normal())
    config = model.optimizer.get_config()
    assert isinstance(model.optimizer, tf_keras.optimizers.Adam)
    assert config["learning_rate"] == pytest.approx(1e-3)
    assert (config["beta_1"], config["beta_2"], config["epsilon"]) == (0.9, 0.999, 1e-8)
    assert config["global_clipnorm"] == 100.0


def test_clipping_takes_effect():
    distribution = tiny()
    before = values(distribution.trainable_variables)
    model = compiled(distribution, optimizer=tf_keras.optimizers.SGD(2.0, global_clipnorm=1e-2))
    model.fit(images(), batch_size=8, verbose=0)
    moved = [a - b for a, b in zip(values(distribution.trainable_variables), before, strict=True)]
    # The gradient is larger than the norm; 1e-4: weights near 1 keep 6e-8 of a movement of 2e-2 or less.
    np.testing.assert_allclose(np.sqrt(sum(np.sum(m**2) for m in moved)), 2e-2, rtol=1e-4)


@pytest.mark.parametrize("name", ["loss", "metrics"])
def test_own_losses_are_refused(name):
    with pytest.raises(ValueError, match=f"`{name}`.*FlowModel's loss is the likelihood"):
        FlowModel(normal()).compile(**{name: "mse"})


def test_averages_in_closed_form():
    distribution = flow()
    model = compiled(distribution, averaging=0.2, optimizer=tf_keras.optimizers.Adam(0.1))
    names = [v.name for v in distribution.variables]
    assert any("statistics/mean" in name for name in names)
    assert [a.name for a in model.averages.averages] == [name.replace(":0", "/average:0") for name in names]
    seen = [values(distribution.variables)]
    after_step = tf_keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(values(distribution.variables))
    )
    model.fit(images(), batch_size=2, callbacks=[after_step], verbose=0)
    averages = seen[0]
    for step, new in enumerate(seen[1:]):
        d = min(0.2, (1 + step) / (10 + step))  # 0.1, 0.18, then 0.2: both sides of the minimum.
        averages = [d * a + (1 - d) * v for a, v in zip(averages, new, strict=True)]
    assert len(seen) == 5
    for average, expected in zip(values(model.averages.averages), averages, strict=True):
        np.testing.assert_allclose(average, expected, rtol=1e-5, atol=1e-7)

    # What they are for: evaluation, and nothing else.
    raw = values(distribution.variables)
    averaged = model.evaluate(images(), verbose=0)
    predicted = model.predict(images(), verbose=0)
    np.testing.assert_allclose(predicted.mean(), averaged[1], rtol=1e-6)
    assert_equal(values(distribution.variables), raw)
    with model.evaluation_weights():
        assert_equal(values(distribution.variables), values(model.averages.averages))
        assert compiled(distribution).evaluate(images(), verbose=0) == averaged
    assert_equal(values(distribution.variables), raw)
    assert abs(compiled(distribution).evaluate(images(), verbose=0)[1] - averaged[1]) > 1e-3
    with pytest.raises(KeyError), model.evaluation_weights():
        raise KeyError
    assert_equal(values(distribution.variables), raw)


def test_averaging_leaves_training_alone():
    plain = compiled(tiny())
    averaged = compiled(tiny(), averaging=0.9)
    copy_weights(plain, averaged)
    by_steps(plain, images(), 3)
    averaged.fit(images(), batch_size=8, epochs=3, shuffle=False, validation_data=(images(4, seed=1),), verbose=0)
    assert_equal(values(averaged.distribution.variables), values(plain.distribution.variables))


@pytest.mark.parametrize("decay", [0.0, 1.0, 2])
def test_averaging_out_of_range(decay):
    with pytest.raises(ValueError, match="`averaging`"):
        FlowModel(normal(), averaging=decay)


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
    """Weights that all modes start from, and the batch statistics of continuous pixels under them."""
    weights, batch = tiny(residual_blocks=1), tiny(residual_blocks=1)
    start(batch, weights)
    statistics = [m for m in batch.submodules if isinstance(m, RunningStatistics)]
    assert len(statistics) == 5  # in, two in the block, out, and the flow's own.
    for m in statistics:
        m.momentum = 0.0  # The running values are then those of the last batch.
    batch.log_prob(tf.cast(images(4), tf.float32) + 0.5, bijector_kwargs={"training": True})
    return weights, values(batch.non_trainable_variables)


@pytest.mark.parametrize("mode", MODES)
def test_running_statistics_move_once_a_step(mode, origin):
    weights, batch = origin
    distribution = tiny(residual_blocks=1)
    start(distribution, weights)
    model = compiled(distribution, optimizer=still(), dequantize=False, options=MODES[mode])
    pixels = tf.data.Dataset.from_tensors(images(4).astype(np.float32) + 0.5).repeat(3)
    model.fit(pixels, verbose=0)
    for v, initial, of_batch in zip(
        distribution.non_trainable_variables, values(weights.non_trainable_variables), batch, strict=True
    ):
        expected = 0.9**3 * initial + (1 - 0.9**3) * of_batch
        np.testing.assert_allclose(v, expected, rtol=1e-5, atol=1e-6, err_msg=v.name)


@pytest.fixture(scope="module")
def plain_run(origin):
    return train(origin[0], {})


def train(weights, options, dequantize=True):
    distribution = tiny(residual_blocks=1)
    start(distribution, weights)
    # Epsilon: else Adam makes whole steps of gradients that are 0 but for rounding.
    optimizer = tf_keras.optimizers.Adam(1e-3, epsilon=1e-2)
    model = compiled(distribution, optimizer=optimizer, options=options, dequantize=dequantize)
    history = model.fit(images(24), batch_size=4, shuffle=False, epochs=2, verbose=0).history
    return history, values(distribution.variables), model.evaluate(images(), verbose=0)


def assert_trained_alike(run, expected_run):
    (history, weights, evaluated), (expected_history, expected_weights, expected_evaluated) = run, expected_run
    np.testing.assert_allclose(history["loss"], expected_history["loss"], rtol=1e-5)
    np.testing.assert_allclose(evaluated, expected_evaluated, rtol=1e-5)
    for value, expected in zip(weights, expected_weights, strict=True):
        # 12 steps of at most 1e-3: far below one of them.
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", ["three_steps", "eager"])
def test_modes_train_alike(mode, origin, plain_run):
    assert_trained_alike(train(origin[0], MODES[mode]), plain_run)


def test_xla_trains_alike(origin):
    # Without noise: XLA draws other numbers for the same seed.
    weights = origin[0]
    run = train(weights, MODES["xla"], dequantize=False)
    assert_trained_alike(run, train(weights, {}, dequantize=False))


def test_one_network_evaluation_a_step():
    distribution = flow()
    model = compiled(distribution)
    iterator = iter(batched(images()))
    traced = model.make_train_function().get_concrete_function(iterator)
    assert convolutions(traced) == expected_convolutions(distribution)
    traced = model.make_test_function().get_concrete_function(iterator)
    assert convolutions(traced) == expected_convolutions(distribution)


def test_variables_before_the_first_call():
    distribution = flow(num_scales=2, residual_blocks=1)
    model = compiled(distribution, averaging=0.9)
    names = [v.name for v in distribution.variables]
    assert len(set(names)) == len(names) > 100
    assert {id(v) for v in model.trainable_variables} == {id(v) for v in distribution.trainable_variables} != set()
    assert {id(v) for v in distribution.variables} <= {id(v) for v in model.variables}
    optimized = [v.name for v in model.optimizer.variables]
    assert len(set(optimized)) == len(optimized) == 2 * len(model.trainable_variables) + 1  # Adam's two, and the count.


def test_summary():
    distribution = flow(num_scales=2)
    lines = []
    FlowModel(distribution).summary(line_length=200, print_fn=lines.append)
    groups = [line.split() for line in lines if "VariableGroup" in line]
    couplings = [f"level_0.checkerboard_{i}" for i in range(3)] + [f"level_0.channel_{i}" for i in range(3)]
    couplings += [f"level_1.checkerboard_{i}" for i in range(4)]
    assert sorted(words[0].split(".", 1)[1] for words in groups) == sorted(couplings)
    assert sum(int(words[-1].replace(",", "")) for words in groups) == sum(
        v.shape.num_elements() for v in distribution.variables
    )
    trainable = next(line for line in lines if line.startswith("Trainable params"))
    assert int(trainable.split()[2].replace(",", "")) == sum(
        v.shape.num_elements() for v in distribution.trainable_variables
    )


def test_a_chain_without_conditioning_trains():
    bijector = one_coupling()
    model = compiled(on_prior(tfb.Chain([bijector, tfb.Scale(0.9)])))
    before = values(bijector.non_trainable_variables)
    assert np.isfinite(model.fit(images(), verbose=0).history["loss"][0])
    assert all(np.any(a != b) for a, b in zip(before, values(bijector.non_trainable_variables), strict=True))


def test_wrong_distributions():
    with pytest.raises(TypeError, match=r"must be a tfd\.Distribution"):
        FlowModel(RealNVPImage(1, num_scales=1, width=2, residual_blocks=0))
    with pytest.raises(ValueError, match="static"):
        FlowModel(tfd.Normal(0.0, 1.0))
    with pytest.raises(ValueError, match="`l2`=-1"):
        FlowModel(normal(), l2=-1)


def test_the_noise_of_replicas_is_that_of_the_batch():
    x = tf.constant(images(6))
    whole = dequantize(x, seed=[1, 2])
    parts = [dequantize(x[i : i + 2], seed=[1, 2], first_row=i, rows=6) for i in (0, 2, 4)]
    assert_equal([whole.numpy()], [np.concatenate(parts)])
