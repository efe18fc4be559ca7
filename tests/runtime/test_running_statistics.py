"""Running statistics move once for each training step, and in no other case."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.models import pixels, running_statistics, small_flow
from tfp_realnvp import FlowBatchNorm, NetworkOptions
from tfp_realnvp.networks.batch_norm import BatchNorm

tfd = tfp.distributions


def distribution(flow, shape):
    return tfd.TransformedDistribution(tfd.Sample(tfd.Normal(0.0, 1.0), sample_shape=shape), flow)


@pytest.mark.parametrize("traced", [False, True])
def test_statistics_are_updated_once_per_log_prob(traced):
    flow = small_flow()
    images = distribution(flow, [4, 4, 1])
    x = pixels(8, 4, 4, 1)

    def step(x):
        return images.log_prob(x, bijector_kwargs={"training": True})

    step = tf.function(step) if traced else step
    start = running_statistics(flow)
    step(tf.identity(x))
    first = running_statistics(flow)
    # All variances move. Means of the channels that a coupling leaves alone stay 0.
    assert np.all(first[1] != start[1])
    step(tf.identity(x))
    # Both updates see the same batch, so the second moves by 0.9 of the first. Two updates a call would make it 0.81.
    np.testing.assert_allclose(running_statistics(flow) - first, 0.9 * (first - start), rtol=1e-3, atol=1e-6)
    second = running_statistics(flow)
    images.log_prob(x)
    np.testing.assert_array_equal(running_statistics(flow), second)


@pytest.mark.parametrize("traced", [False, True])
def test_sampling_changes_no_variable(traced):
    flow = small_flow()
    images = distribution(flow, [4, 4, 1])
    images.log_prob(pixels(8, 4, 4, 1), bijector_kwargs={"training": True})
    before = [v.numpy() for v in flow.variables]

    def samples(training):
        return images.sample(3, seed=(1, 2), bijector_kwargs={"training": training})

    samples = tf.function(samples) if traced else samples
    assert np.max(np.abs(samples(True) - samples(False))) > 1e-3  # The networks did use the batch's statistics.
    for v, old in zip(flow.variables, before, strict=True):
        np.testing.assert_array_equal(v, old, err_msg=v.name)


@pytest.mark.parametrize("make", [FlowBatchNorm, BatchNorm])
@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_non_finite_batch_leaves_the_running_statistics(make, poison):
    x = np.random.RandomState(0).randn(4, 2, 2, 3).astype(np.float32)
    x[1, 0, 1, 2] = poison
    if make is BatchNorm:
        norm = BatchNorm(3, NetworkOptions())
        norm(tf.constant(x), training=True, update_statistics=True)
    else:
        norm = FlowBatchNorm(3)
        norm.inverse(tf.constant(x), training=True)
    mean, variance = norm.statistics.mean.numpy(), norm.statistics.variance.numpy()
    assert mean[2] == 0
    assert variance[2] == 1
    np.testing.assert_allclose(mean[:2], 0.1 * np.mean(x[..., :2], (0, 1, 2)), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(variance[:2], 0.9 + 0.1 * np.var(x[..., :2], (0, 1, 2)), rtol=1e-5)
