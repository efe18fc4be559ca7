"""Networks compute in half precision when the policy of Keras says so, and are as good as in float32."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tests import models
from tests.training.steep import Steep
from tfp_realnvp import FlowModel, RealNVPImage, ResidualNetwork


def _compute_dtypes(flow):
    return {part.compute_dtype for part in flow.submodules if isinstance(part, ResidualNetwork)}


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_the_policy_is_that_of_the_networks(dtype):
    with models.policy(f"mixed_{dtype}"):
        flow = RealNVPImage(1, num_scales=1, width=2, residual_blocks=0)
        double = RealNVPImage(1, num_scales=1, width=2, residual_blocks=0, dtype=tf.float64)
        own = RealNVPImage(1, num_scales=1, width=2, residual_blocks=0, compute_dtype=tf.float32)
    assert _compute_dtypes(flow) == {tf.as_dtype(dtype)}
    assert _compute_dtypes(double) == {tf.float64}
    assert _compute_dtypes(own) == {tf.float32}
    assert {v.dtype for v in flow.variables} == {tf.float32}
    x = tf.constant(models.images(2), tf.float32)
    assert flow.inverse(x).dtype == flow.inverse_log_det_jacobian(x).dtype == tf.float32
    assert flow.parameters["compute_dtype"] == tf.as_dtype(dtype)  # `copy` and `save_flow` go by it.


def _images_of_a_brightness():
    """Images whose pixels have a brightness in common, which can be learned, and noise, which can't.

    If a pixel followed from the others, the likelihood would have no bound, and two trainings would part for ever.
    """
    random = np.random.RandomState(0)
    images = 128 + 30 * random.randn(512, 1, 1, 1) + 15 * random.randn(512, *models.SHAPE)
    return np.clip(images, 0, 255).astype(np.uint8)


def _trained(policy):
    """Bits/dim of a flow that was trained under the policy."""
    images = _images_of_a_brightness()
    tf_keras.utils.set_random_seed(0)
    with models.policy(policy):
        model = FlowModel(models.flow(width=8), averaging=0.98)
        model.compile()
    first = model.evaluate(images, batch_size=128, verbose=0, return_dict=True)["bits_per_dim"]
    model.fit(images, batch_size=128, epochs=30, shuffle=False, verbose=0)
    last = model.evaluate(images, batch_size=128, verbose=0, return_dict=True)["bits_per_dim"]
    assert last < first - 0.3
    return last


def test_training_in_half_precision_is_as_good():
    whole = _trained("float32")
    assert abs(_trained("mixed_bfloat16") - whole) < 0.01
    # Steps are left out until the scale of the loss is found.
    assert abs(_trained("mixed_float16") - whole) < 0.02


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_one_set_of_weights_scores_alike(dtype):
    ours, theirs = models.flow(residual_blocks=1), models.flow(residual_blocks=1, compute_dtype=dtype)
    for i, (a, b) in enumerate(zip(ours.trainable_variables, theirs.trainable_variables, strict=True)):
        a.assign_add(0.1 * tf.random.stateless_normal(a.shape, [i, 0]))
        b.assign(a)
    bits = [compiled.predict(models.images(64), verbose=0) for compiled in map(models.compiled, (ours, theirs))]
    np.testing.assert_allclose(*map(np.mean, bits), atol=0.005)


def test_loss_scaling_finds_its_scale_and_counts_what_it_leaves_out():
    optimizer = tf_keras.mixed_precision.LossScaleOptimizer(tf_keras.optimizers.Adam(1e-3), initial_scale=2.0**40)
    model = models.compiled(models.flow(compute_dtype=tf.float16), optimizer=optimizer)
    before = models.values(model.distribution.trainable_variables)
    model.fit(models.images(8), batch_size=8, epochs=40, verbose=0)  # Steps that are not finite raise no error.
    assert float(optimizer.loss_scale) < 2.0**40
    after = models.values(model.distribution.trainable_variables)
    assert all(np.isfinite(v).all() for v in after)
    assert any((a != b).any() for a, b in zip(before, after, strict=True))


def test_the_gradient_norm_is_that_of_unscaled_gradients_and_of_steps_that_were_taken():
    def norms(gradient):
        optimizer = tf_keras.mixed_precision.LossScaleOptimizer(tf_keras.optimizers.SGD(0.0))
        model = models.compiled(Steep(gradient), optimizer=optimizer, l2=0.0)
        history = model.fit(models.images(8), batch_size=4, verbose=0).history
        assert np.isfinite(history["loss"]).all()
        return history["gradient_norm"]

    np.testing.assert_allclose(norms(-3.0), [3.0], rtol=1e-6)
    assert norms(np.inf) == [0.0]  # Both steps were left out.


def test_a_loss_that_is_not_finite_is_an_error_whatever_the_scale():
    optimizer = tf_keras.mixed_precision.LossScaleOptimizer(tf_keras.optimizers.Adam(1e-3))
    model = models.compiled(models.flow(compute_dtype=tf.float16), optimizer=optimizer)
    model.distribution.trainable_variables[0].assign(np.nan * model.distribution.trainable_variables[0])
    with pytest.raises(FloatingPointError, match="step 1"):
        model.fit(models.images(8), verbose=0)


def test_bfloat16_computes_close_to_float32():
    x = models.pixels(4, 4, 4, 3)
    answers = []
    for compute_dtype in (tf.float32, tf.bfloat16):
        tf.random.set_seed(0)
        flow = models.small_flow(3, compute_dtype=compute_dtype, width=4)
        assert {v.dtype for v in flow.variables} == {tf.float32}
        for training in (True, False):  # The first pass moves the statistics.
            z = flow.inverse(x, training=training)
            log_det = flow.inverse_log_det_jacobian(x, 3, training=training)
            assert z.dtype == log_det.dtype == tf.float32
            answers += [z.numpy(), log_det.numpy()]
        answers.append(models.running_statistics(flow))
    for wide, narrow in zip(answers[:5], answers[5:], strict=True):
        assert np.any(wide != narrow)  # This shows that bfloat16 was used.
        error = np.sqrt(np.mean((wide - narrow) ** 2) / np.mean(wide**2))
        assert error < 0.05  # Each rounding to 8 bits is an error of 4e-3, and these add up over ten networks.
