"""`fit`, `evaluate` and `predict` report the closed form of the likelihood, for all kinds of data."""

import inspect

import numpy as np
import pytest
import tensorflow as tf

from tests.models import DIMENSIONS, LOC, SCALE, SHAPE, flow, images, normal, normal_bits, policy, tiny
from tests.training.fitting import batched, by_steps, noisy


@pytest.fixture(scope="module")
def normal_model(kind):
    return kind.compiled(normal(), optimizer=kind.still(), seed=3)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32])
@pytest.mark.parametrize("form", ["numpy", "tensor", "tf.data"])
def test_evaluate_is_the_closed_form(normal_model, dtype, form):
    x = images(10).astype(dtype)  # The last batch has 2 images, others 4.
    data = {"numpy": x, "tensor": tf.constant(x), "tf.data": batched(x)}[form]
    size = {} if form == "tf.data" else {"batch_size": 4}
    loss, bits = normal_model.evaluate(data, **size, verbose=0)
    expected = normal_bits(noisy(x, seed=3))
    np.testing.assert_allclose(bits, expected.mean(), rtol=1e-6)
    assert loss == bits  # Nothing is regularized.
    predicted = normal_model.predict(data, **size, verbose=0)
    assert predicted.shape == (10,)
    np.testing.assert_allclose(predicted, expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32])
@pytest.mark.parametrize("form", ["numpy", "tf.data"])
def test_fit_reports_the_closed_form(kind, dtype, form):
    model = kind.compiled(normal(), optimizer=kind.still(), seed=3)
    x = images(10).astype(dtype)
    data, size = (x, {"batch_size": 4}) if form == "numpy" else (batched(x), {})
    history = model.fit(data, **size, epochs=2, shuffle=False, verbose=0).history
    # The noise goes on from epoch to epoch, and an epoch has 3 batches.
    expected = [normal_bits(noisy(x, seed=3, stream=0, first=first)).mean() for first in (0, 3)]
    np.testing.assert_allclose(history["bits_per_dim"], expected, rtol=1e-6)
    np.testing.assert_allclose(history["loss"], expected, rtol=1e-6)
    for epoch, first in enumerate((0, 3)):
        seen = noisy(x, seed=3, stream=0, first=first)
        gradients = [((seen[i : i + 4] - LOC) / SCALE**2).mean(0) for i in (0, 4, 8)]
        norms = [np.sqrt((gradient**2).sum()) for gradient in gradients]
        np.testing.assert_allclose(history["gradient_norm"][epoch], np.mean(norms), rtol=1e-5)
    assert len(model.evaluate(data, **size, verbose=0)) == 2


def test_fit_takes_a_generator(kind):
    # Keras then tells the model nothing of the shapes, which it knows anyway.
    x = images(8)
    model = kind.compiled(tiny(), optimizer=kind.still())
    history = model.fit(((x[i : i + 4],) for i in (0, 4)), steps_per_epoch=2, verbose=0).history
    again = (
        kind.compiled(model.distribution, optimizer=kind.still()).fit(x, batch_size=4, shuffle=False, verbose=0).history
    )
    np.testing.assert_allclose(history["bits_per_dim"], again["bits_per_dim"], rtol=1e-6)


def test_sample_weights_are_those_of_keras(kind):
    x, weights = images(4), np.array([0.0, 1.0, 2.0, 5.0], np.float32)
    model = kind.compiled(normal(), optimizer=kind.still())
    history = model.fit(x, batch_size=4, sample_weight=weights, shuffle=False, verbose=0).history
    bits = normal_bits(noisy(x, stream=0))
    # As in Keras, the loss is the sum divided by the batch's size, and the metric is the sum divided by the weights.
    np.testing.assert_allclose(history["loss"][0], (weights * bits).mean(), rtol=1e-6)
    np.testing.assert_allclose(history["bits_per_dim"][0], (weights * bits).sum() / weights.sum(), rtol=1e-6)
    bits = normal_bits(noisy(x))
    # In tf.data, None holds the place of the conditioning.
    data = batched(x, weights).map(lambda images, weights: (images, None, weights))
    loss, evaluated = model.evaluate(data, verbose=0)
    np.testing.assert_allclose(loss, (weights * bits).mean(), rtol=1e-6)
    np.testing.assert_allclose(evaluated, (weights * bits).sum() / weights.sum(), rtol=1e-6)


@pytest.mark.parametrize(
    ("method", "last"), [("fit", "sample_weight"), ("evaluate", "callbacks"), ("predict", "callbacks")]
)
def test_positional_arguments_are_in_the_order_of_keras(kind, method, last):
    ours, theirs = (
        list(inspect.signature(getattr(cls, method)).parameters) for cls in (kind.FlowModel, kind.library.Model)
    )
    named = theirs.index(last) + 1
    assert ours[:named] == theirs[:named]


def test_positional_callbacks_and_weights_are_taken(kind):
    x, weights, seen = images(4), np.array([0.0, 1.0, 2.0, 5.0], np.float32), []
    callback = kind.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: seen.append("fit"),
        on_test_end=lambda _: seen.append("evaluate"),
        on_predict_end=lambda _: seen.append("predict"),
    )
    expected = (
        kind.compiled(normal(), optimizer=kind.still()).fit(x, shuffle=False, sample_weight=weights, verbose=0).history
    )
    model = kind.compiled(normal(), optimizer=kind.still())
    assert model.fit(x, None, 4, 1, 0, [callback], 0.0, None, False, None, weights).history == expected
    expected = model.evaluate(x, None, 4, sample_weight=weights, verbose=0)
    assert model.evaluate(x, None, 4, 0, weights, None, [callback]) == expected
    np.testing.assert_array_equal(model.predict(x, 4, 0, None, [callback]), model.predict(x, verbose=0))
    assert seen == ["fit", "evaluate", "predict"]


def test_the_weighted_loss_is_the_one_minimised(kind):
    x, weights = images(4), np.array([0.0, 0.0, 0.0, 1.0], np.float32)
    model = kind.compiled(normal(), optimizer=kind.optimizers.SGD(1.0), dequantize=False)
    model.fit(x, sample_weight=weights, batch_size=4, verbose=0)
    # The step is the gradient of 0.5 ((x - loc) / scale)^2 / 4 images, for the only image with a weight.
    np.testing.assert_allclose(model.distribution.distribution.loc, 100 + (x[3] - 100.0) / 60**2 / 4, rtol=1e-6)


def test_continuous_pixels_need_no_noise(kind, normal_model):
    x = images(8) + np.random.RandomState(1).uniform(0, 1, [8, *SHAPE]).astype(np.float32)
    with pytest.raises(ValueError, match="dequantize=False"):
        normal_model.evaluate(x, verbose=0)
    model = kind.compiled(normal(), dequantize=False)
    np.testing.assert_allclose(model.evaluate(x, verbose=0)[1], normal_bits(x).mean(), rtol=1e-6)
    np.testing.assert_allclose(model.fit(x, verbose=0).history["bits_per_dim"][0], normal_bits(x).mean(), rtol=1e-6)


def test_a_mixed_policy_does_not_round_pixels(kind):
    # Keras casts the inputs of a model to its compute dtype, whose 8 bits are too few for pixels.
    x = images(8) + np.float32(0.37)
    with policy("mixed_bfloat16", kind.library):
        predicted = kind.compiled(normal(), dequantize=False).predict(x, verbose=0)
    np.testing.assert_allclose(predicted, normal_bits(x), rtol=1e-6)


def test_loss_holds_the_penalty(kind):
    distribution = flow()
    penalty = sum(float(tf.reduce_sum(v**2)) for v in distribution.bijector.regularized_variables)
    assert penalty > 0
    model = kind.compiled(distribution, optimizer=kind.still(), l2=0.5)
    expected = 0.5 * penalty / (DIMENSIONS * np.log(2))
    trained = by_steps(model, images(), 1)
    for loss, bits in (model.evaluate(images(), verbose=0), [trained["loss"][0], trained["bits_per_dim"][0]]):
        # This is a difference of two numbers near 8 in float32.
        np.testing.assert_allclose(loss - bits, expected, atol=2e-6)
