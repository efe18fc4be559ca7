"""`FlowBatchNorm` computes the same as formulas that are written in NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_realnvp import Checkerboard, FlowBatchNorm


def test_training_normalises_by_the_batch():
    # TFP finds a tensor again for the log det, but not an array, which would update the statistics twice.
    x = tf.constant(np.random.RandomState(0).randn(5, 4, 4, 2) + 3)
    b = Checkerboard(0)((4, 4, 1), tf.float64).numpy()
    # The zeros at the positions of the mask count too.
    mean, variance = np.mean(x * (1 - b), (0, 1, 2)), np.var(x * (1 - b), (0, 1, 2))
    norm = FlowBatchNorm(2, Checkerboard(0), dtype=tf.float64)
    y = norm.inverse(x, training=True)
    np.testing.assert_allclose(y, b * x + (1 - b) * (x - mean) / np.sqrt(variance + 1e-4), rtol=1e-12)
    log_det = -0.5 * 8 * np.sum(np.log(variance + 1e-4))
    np.testing.assert_allclose(norm.inverse_log_det_jacobian(x, 3, training=True), log_det, rtol=1e-12)
    running_mean, running_variance = norm.statistics.mean.numpy(), norm.statistics.variance.numpy()
    np.testing.assert_allclose(running_mean, 0.9 * 0 + 0.1 * mean, rtol=1e-12)
    np.testing.assert_allclose(running_variance, 0.9 * 1 + 0.1 * variance, rtol=1e-12)
    evaluated = b * x + (1 - b) * (x - running_mean) / np.sqrt(running_variance + 1e-4)
    np.testing.assert_allclose(norm.inverse(x), evaluated, rtol=1e-12)


@pytest.mark.parametrize("momentum", [0.9, 0.0])
def test_running_averages_are_those_of_appendix_e(momentum):
    random = np.random.RandomState(0)
    x, weights = random.randn(2, 2, 3, 1) + 1, random.randn(2, 2, 3, 1)
    old_mean, old_variance = 0.4, 1.7
    norm = FlowBatchNorm(1, momentum=momentum, running_average=True, dtype=tf.float64)
    norm.statistics.mean.assign([old_mean])
    norm.statistics.variance.assign([old_variance])
    point = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(point)
        y = norm.inverse(point, training=True)
        loss = tf.reduce_sum(weights * y)
    share = 1 - momentum
    mean = momentum * old_mean + share * np.mean(x)
    variance = momentum * old_variance + share * np.var(x)
    scale = (variance + 1e-4) ** -0.5
    np.testing.assert_allclose(y, (x - mean) * scale, rtol=1e-12)
    # d mean / dx = share / n and d variance / dx = share * 2 (x - batch mean) / n. The past has no gradient.
    through_variance = np.sum(weights * (x - mean)) * -0.5 * scale**3 * share * 2 * (x - np.mean(x)) / x.size
    expected = scale * (weights - share * np.mean(weights)) + through_variance
    np.testing.assert_allclose(tape.gradient(loss, point), expected, rtol=1e-10)
    np.testing.assert_allclose(norm.statistics.mean, [mean], rtol=1e-12)
    np.testing.assert_allclose(norm.statistics.variance, [variance], rtol=1e-12)
