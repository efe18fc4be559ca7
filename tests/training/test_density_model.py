"""`FlowModel.sample` and `.log_prob` are those of the distribution with the weights of `evaluate`, traced once."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tests.models import DIMENSIONS, SHAPE, compiled, couplings, flow, images, normal, on_prior, pixels, tiny
from tests.saving.distributions import moved
from tests.training.fitting import noisy
from tfp_realnvp import FlowModel, ImageBijector, dequantize, quantize

tfd = tfp.distributions
CLOSE = {"rtol": 2e-5, "atol": 2e-3}  # Of pixels up to 256: graphs round in another order.


@pytest.fixture
def evaluations(monkeypatch):
    """The number of evaluations of couplings in Python, and so of traces of a compiled function, as a list."""
    seen = []
    own = ImageBijector._evaluate
    monkeypatch.setattr(ImageBijector, "_evaluate", lambda self, *args: seen.append(self.name) or own(self, *args))
    return seen


def trained(distribution=None, **options):
    """A model whose averages differ from its weights."""
    model = compiled(distribution or tiny(), averaging=0.9, optimizer=tf_keras.optimizers.Adam(0.05), **options)
    model.fit(images(), batch_size=2, verbose=0)
    return model


def test_samples_and_densities_are_those_of_the_averaged_weights():
    model = trained()
    distribution = model.distribution
    drawn = model.sample(5, seed=(3, 4), whole=False)
    scores = model.log_prob(images(6), seed=7)
    with model.evaluation_weights():
        np.testing.assert_allclose(drawn, distribution.sample(5, seed=(3, 4)), **CLOSE)
        np.testing.assert_allclose(scores, distribution.log_prob(dequantize(images(6), seed=(0, 7))), rtol=1e-5)
    # The weights that training goes on from are others, and are still there.
    assert np.abs(drawn - distribution.sample(5, seed=(3, 4))).max() > 0.1
    assert np.abs(scores - distribution.log_prob(dequantize(images(6), seed=(0, 7)))).max() > 1e-3
    assert (drawn.dtype, scores.dtype) == (tf.float32, tf.float32)


def test_without_averages_the_weights_are_the_only_ones():
    model = FlowModel(moved(tiny()))
    expected = model.distribution.sample(2, seed=(1, 2))
    np.testing.assert_allclose(model.sample(2, seed=(1, 2), whole=False), expected, **CLOSE)
    np.testing.assert_allclose(model.log_prob(expected), model.distribution.log_prob(expected), rtol=1e-5)


def test_densities_are_those_of_predict_for_the_same_noise():
    model = trained(seed=3)
    bits = model.predict(images(4), batch_size=4, verbose=0)
    scores = model.log_prob(noisy(images(4), seed=3))
    np.testing.assert_allclose(-scores / (DIMENSIONS * np.log(2)), bits, rtol=1e-5)
    np.testing.assert_allclose(model.log_prob(images(4), seed=(3, 1)), scores, rtol=1e-6)  # Of stream 1, batch 0.


@pytest.mark.parametrize("levels", [17, 256, 300])
def test_pictures_are_whole_numbers_below_the_levels(levels):
    model = FlowModel(moved(flow(levels=levels)))
    real = model.sample(20, temperature=2, seed=5, whole=False)
    pictures = model.sample(20, temperature=2, seed=5)
    assert pictures.dtype == (tf.uint16 if levels > 256 else tf.uint8)
    np.testing.assert_array_equal(pictures, quantize(real, levels))
    np.testing.assert_array_equal(model.sample(20, temperature=2, seed=(0, 5)), pictures)
    assert real.numpy().max() > levels  # So that something was clipped.


def test_the_temperature_multiplies_the_latents():
    model = trained()
    flow = model.distribution.bijector
    with model.evaluation_weights():
        whole, half = (flow.inverse(model.sample(3, temperature=t, seed=1, whole=False)) for t in (1, 0.5))
    np.testing.assert_allclose(half, 0.5 * whole, rtol=1e-2, atol=1e-3)  # Far latents lie where the sigmoid is flat.
    assert np.abs(whole).max() > 1


def test_pictures_of_another_size():
    model = FlowModel(moved(flow(num_scales=2)))
    larger = model.distribution.copy(
        distribution=tfd.Sample(tfd.Normal(tf.zeros([], tf.float32), 1.0), sample_shape=[8, 6, 1])
    )
    drawn = model.sample(2, size=(8, 6), seed=(1, 2), whole=False)
    np.testing.assert_allclose(drawn, larger.sample(2, seed=(1, 2)), **CLOSE)
    own = model.sample(2, size=SHAPE[:2], seed=3)
    np.testing.assert_array_equal(own, model.sample(2, seed=3))


def test_seeds():
    model = FlowModel(moved(tiny()))
    drawn = []
    for seed in (1, 1, 2):
        tf_keras.utils.set_random_seed(seed)
        drawn.append(model.sample(4).numpy())
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert np.any(drawn[0] != drawn[2])
    assert np.any(model.sample(4) != model.sample(4))
    one, other = (model.log_prob(images(4), seed=seed) for seed in (0, 1))
    assert np.any(one != other)
    np.testing.assert_array_equal(model.log_prob(images(4)), one)


def test_other_arguments_do_not_trace_again(evaluations):
    model = FlowModel(moved(flow(num_scales=2)))
    model.sample(2)
    first = len(evaluations)
    assert first > 0
    for n, temperature, seed, size in ((3, 0.5, 1, (8, 8)), (1, 2, (3, 4), None), (5, np.float32(0.7), None, (4, 6))):
        assert model.sample(n, temperature=temperature, seed=seed, size=size).shape == [n, *(size or SHAPE[:2]), 1]
    assert len(evaluations) == first
    model.log_prob(images(2))
    second = len(evaluations)
    assert second > first
    for x, seed in ((images(3), 1), (images(8).astype(np.int64), (0, 9)), (pixels(5, *SHAPE), None)):
        assert model.log_prob(x, seed=seed).shape == [len(x)]
    assert len(evaluations) == second


def test_conditioning():
    model = FlowModel(moved(on_prior(couplings(conditioning_size=3))))
    distribution, vectors = model.distribution, np.eye(3, dtype=np.float64)
    drawn = model.sample(3, conditioning=vectors, seed=(1, 2), whole=False)
    expected = distribution.sample(3, seed=(1, 2), bijector_kwargs={"conditioning": vectors.astype(np.float32)})
    np.testing.assert_allclose(drawn, expected, **CLOSE)
    same = model.sample(3, conditioning=[0.0, 1.0, 0.0], seed=(1, 2), whole=False)
    np.testing.assert_allclose(same[1], drawn[1], **CLOSE)
    assert np.abs(same[0] - drawn[0]).max() > 0.1
    # Integers may be one vector where they can't be labels: of another number than the pictures.
    np.testing.assert_array_equal(
        *(model.sample(2, conditioning=vector, seed=1) for vector in (vectors[1], np.array([0, 1, 0], np.uint8)))
    )
    scores = model.log_prob(drawn, conditioning=vectors)
    expected = distribution.log_prob(drawn, bijector_kwargs={"conditioning": vectors.astype(np.float32)})
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
    np.testing.assert_allclose(model.log_prob(drawn, conditioning=vectors[1])[1], scores[1], rtol=1e-5)


def test_a_distribution_without_latents():
    model = FlowModel(normal())
    np.testing.assert_allclose(model.sample(3, seed=(1, 2), whole=False), normal().sample(3, seed=(1, 2)), **CLOSE)
    np.testing.assert_allclose(
        model.log_prob(images(3)), normal().log_prob(dequantize(images(3), seed=(0, 0))), rtol=1e-5
    )


def test_callbacks_may_call_both():
    model = compiled(tiny(), averaging=0.5)
    found = []
    look = tf_keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: found.append((model.sample(2, seed=1), model.log_prob(images(2))))
    )
    plain = compiled(tiny(), averaging=0.5)
    for v, value in zip(plain.distribution.variables, model.distribution.variables, strict=True):
        v.assign(value)
    history = [
        m.fit(images(), batch_size=4, shuffle=False, verbose=0, callbacks=c).history["loss"]
        for m, c in ((plain, []), (model, [look]))
    ]
    assert history[0] == history[1]
    assert len(found) == 2
    assert np.any(found[0][1] != found[1][1])


def test_not_within_a_graph():
    model = FlowModel(tiny())
    for call in (lambda: model.sample(2), lambda: model.log_prob(images(2))):
        with pytest.raises(RuntimeError, match=r"within `tf\.function` or a replica: call it outside"):
            tf.function(call, autograph=False)()


def test_pixels_that_are_no_numbers_are_not_made_whole():
    model = FlowModel(tiny())
    model.distribution.trainable_variables[0].assign(model.distribution.trainable_variables[0] * np.nan)
    assert np.isnan(model.sample(2, whole=False)).any()
    with pytest.raises(FloatingPointError, match="pixels that are not numbers; lower it"):
        model.sample(2)
