"""Exports answer as the distributions do that they were made of."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests import models
from tests.saving.exports import LEVELS, SEED, make_distribution, pixels_of_levels, run_alone
from tfp_realnvp import RealNVPImage, bits_per_dim, dequantize, export_saved_model, quantize

tfd = tfp.distributions


def test_answers_of_tensorflow_alone_are_the_distributions(plain, tmp_path):
    distribution, export = plain
    images, larger = pixels_of_levels(3, 4, 4, 1), pixels_of_levels(2, 8, 6, 1)
    real = dequantize(images, LEVELS, seed=SEED)
    latents = np.random.RandomState(1).randn(2, 8, 6, 1).astype(np.float32)
    base = distribution.distribution
    wide = tfd.TransformedDistribution(base.copy(sample_shape=[6, 8, 1]), distribution.bijector)
    noisy = dequantize(larger, LEVELS, seed=[0, 0])
    large = tfd.TransformedDistribution(base.copy(sample_shape=[8, 6, 1]), distribution.bijector)
    log_prob = distribution.log_prob(real)
    scores = {"log_prob": log_prob, "bits_per_dim": bits_per_dim(log_prob, (4, 4, 1))}
    bijector = distribution.bijector
    cases = [
        ("serving_default", {"pixels": images, "seed": SEED}, scores),
        ("serving_default", {"pixels": images.astype(np.float32), "seed": SEED}, scores),
        ("serving_default", {"pixels": real.numpy(), "dequantize": False}, scores),
        ("serving_uint8", {"pixels": images, "seed": SEED}, scores),
        ("serving_uint8", {"pixels": larger}, {"log_prob": large.log_prob(noisy)}),
        ("sample", {"count": 4, "seed": SEED}, {"pixels": distribution.sample(4, seed=SEED)}),
        ("sample", {"count": 2, "seed": SEED, "height": 6, "width": 8}, {"pixels": wide.sample(2, seed=SEED)}),
        (
            "sample",
            {"count": 4, "seed": SEED, "temperature": 0.5},
            {"pixels": bijector.forward(0.5 * base.sample(4, seed=SEED))},
        ),
        ("encode", {"pixels": larger.astype(np.float32)}, {"latents": bijector.inverse(noisy)}),
        ("decode", {"latents": latents}, {"pixels": bijector.forward(latents)}),
    ]
    answers = run_alone(tmp_path, "answer", export, [case[:2] for case in cases])
    for (signature, _, expected), got in zip(cases, answers, strict=True):
        assert not isinstance(got, str), got
        for name, value in expected.items():
            value = quantize(value, LEVELS) if name == "pixels" else value
            assert got[name].dtype == value.dtype
            np.testing.assert_allclose(got[name], value, rtol=1e-5, atol=1e-5, err_msg=signature)


def test_encode_and_decode_are_inverse(plain_model):
    images = pixels_of_levels(5, 4, 6, 1)
    latents = plain_model.encode(tf.constant(images, tf.float32), SEED)["latents"]
    np.testing.assert_array_equal(plain_model.decode(latents)["pixels"], images)


def test_conditioning_reaches_the_distribution(conditional, conditional_model):
    distribution, model = conditional[0], conditional_model
    images, rows = pixels_of_levels(2, 4, 4, 1), np.eye(3, dtype=np.float32)[:2]
    keywords = {"bijector_kwargs": {"conditioning": rows}}
    got = model.serving_uint8(images, rows, SEED)["log_prob"]
    np.testing.assert_allclose(got, distribution.log_prob(dequantize(images, LEVELS, seed=SEED), **keywords), rtol=1e-5)
    assert np.abs(got - model.serving_uint8(images, rows[::-1], SEED)["log_prob"]).max() > 1e-3
    samples = quantize(distribution.sample(2, seed=SEED, **keywords), LEVELS)
    np.testing.assert_array_equal(model.sample(2, rows, SEED)["pixels"], samples)
    latents = model.encode(tf.constant(images, tf.float32), rows, SEED)["latents"]
    np.testing.assert_array_equal(model.decode(latents, rows)["pixels"], images)
    for wrong in (np.eye(3, dtype=np.float32), np.full([2, 3], np.nan, np.float32)):
        with pytest.raises(tf.errors.InvalidArgumentError, match="`conditioning`"):
            model.serving_uint8(images, wrong, SEED)


def test_any_distribution_over_images_is_exported(tmp_path):
    distribution = models.normal()
    model = tf.saved_model.load(export_saved_model(distribution, tmp_path, levels=256))
    images = models.images()
    got = model.serving_uint8(images, SEED)
    np.testing.assert_allclose(got["bits_per_dim"], models.normal_bits(dequantize(images, seed=SEED)), rtol=1e-5)
    np.testing.assert_array_equal(model.sample(3, SEED)["pixels"], quantize(distribution.sample(3, seed=SEED)))
    assert set(model.signatures) == {"serving_default", "serving_uint8", "score", "sample", "units"}
    with pytest.raises(TypeError, match="4, 4, 1"):  # Height and width are fixed here.
        model.serving_uint8(np.zeros([1, 8, 8, 1], np.uint8), SEED)


def test_levels_may_take_more_than_8_bits(tmp_path):
    distribution = make_distribution(levels=1024, num_scales=1)
    model = tf.saved_model.load(export_saved_model(distribution, tmp_path))
    images = np.random.RandomState(0).randint(0, 1024, [2, 4, 4, 1]).astype(np.uint16)
    noisy = dequantize(images, 1024, seed=SEED)
    np.testing.assert_allclose(model.serving_uint16(images, SEED)["log_prob"], distribution.log_prob(noisy), rtol=1e-5)
    assert model.sample(1)["pixels"].dtype == tf.uint16


@pytest.mark.parametrize("dtype", [tf.float64, tf.bfloat16])
def test_other_dtypes_are_exported(dtype, tmp_path):
    options = {"dtype": dtype} if dtype == tf.float64 else {"compute_dtype": dtype}
    flow = RealNVPImage(1, num_scales=1, width=2, residual_blocks=0, **options)
    zero = tf.zeros([], options.get("dtype", tf.float32))
    distribution = tfd.TransformedDistribution(tfd.Sample(tfd.Normal(zero, zero + 1), sample_shape=[4, 4, 1]), flow)
    model = tf.saved_model.load(export_saved_model(distribution, tmp_path))
    images = models.images()
    noisy = tf.cast(dequantize(images, seed=SEED), distribution.dtype)
    answer = model.serving_uint8(images, SEED)["log_prob"]
    assert answer.dtype == distribution.dtype
    np.testing.assert_allclose(answer, distribution.log_prob(noisy), rtol=1e-5)


class _Overflowing(tfp.bijectors.Bijector):
    """The identity up to 88, above which it is NaN in float32."""

    def __init__(self):
        super().__init__(forward_min_event_ndims=0, parameters={}, is_constant_jacobian=True)

    def _forward(self, x):
        return x * tf.exp(x) / tf.exp(x)

    _inverse = _forward

    def _inverse_log_det_jacobian(self, y):
        return tf.zeros([], y.dtype)


def test_no_answer_is_a_nan(tmp_path):
    model = tf.saved_model.load(export_saved_model(models.on_prior(_Overflowing()), tmp_path))
    images = np.full([1, 4, 4, 1], 80, np.uint8)
    np.testing.assert_array_equal(model.decode(images.astype(np.float32) + 0.5)["pixels"], images)
    assert np.isfinite(model.serving_uint8(images)["log_prob"]).all()
    rule = "pixels that are not numbers, from `latents` or a `temperature`"
    for ask in (lambda: model.decode(100.0 + images), lambda: model.sample(4, temperature=1e3)):
        with pytest.raises(tf.errors.InvalidArgumentError, match=rule):
            ask()
    with pytest.raises(tf.errors.InvalidArgumentError, match="`pixels` have a log_prob that is not finite"):
        model.serving_uint8(images + 10)


def test_no_answer_is_infinite(conditional_model):
    images = np.zeros([1, 4, 4, 1], np.float32)
    conditioning = np.full([1, 3], 1e30, np.float32)  # It is finite, and the network's answer is not.
    for ask in (conditional_model.serving_default, conditional_model.score):
        with pytest.raises(tf.errors.InvalidArgumentError, match="not finite: the model fails on them with this `cond"):
            ask(images, conditioning=conditioning)
        assert np.isfinite(ask(images, conditioning=np.ones([1, 3], np.float32))["log_prob"]).all()
