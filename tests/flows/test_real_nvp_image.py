"""`RealNVPImage` takes images of any size, and names the variables that are to be regularized."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.models import small_flow
from tfp_realnvp import FlowModel, dequantize

tfd = tfp.distributions


def test_value_and_log_det_belong_to_the_same_noise():
    # The change of variables holds for the value and the log det of one call. A log det of other pixels would break it.
    flow = small_flow(num_scales=1)
    prior = tfd.Sample(tfd.Normal(0.0, 1.0), sample_shape=[4, 4, 1])
    x = dequantize(np.full([2, 4, 4, 1], 100), seed=(1, 2))
    images = tfd.TransformedDistribution(prior, flow)
    np.testing.assert_array_equal(images.log_prob(x), images.log_prob(tf.identity(x)))
    by_hand = prior.log_prob(flow.inverse(x)) + flow.inverse_log_det_jacobian(x, 3)
    np.testing.assert_allclose(images.log_prob(x), by_hand, rtol=1e-6)


def test_a_copy_on_another_prior_keeps_the_flow():
    images = tfd.TransformedDistribution(tfd.Sample(tfd.Normal(0.0, 1.0), sample_shape=[4, 4, 1]), small_flow())
    calm = images.copy(distribution=tfd.Sample(tfd.Normal(0.0, 0.7), sample_shape=[4, 4, 1]))
    assert calm.bijector is images.bijector
    assert [id(v) for v in calm.variables] == [id(v) for v in images.variables]
    latents = images.distribution.sample(3, seed=(1, 2))
    np.testing.assert_allclose(calm.sample(3, seed=(1, 2)), images.bijector.forward(0.7 * latents), rtol=1e-5)
    warm = FlowModel(images).sample(3, temperature=0.7, seed=1, whole=False)
    np.testing.assert_allclose(warm, FlowModel(calm).sample(3, seed=1, whole=False), rtol=1e-5)


def test_one_flow_takes_images_of_any_size():
    flow = small_flow(num_scales=3, residual_blocks=0)
    for height, width in ((4, 4), (8, 4), (4, 12)):
        latents = tf.random.normal([2, height, width, 1])
        images = flow.forward(latents)
        assert images.shape == latents.shape
        np.testing.assert_allclose(flow.inverse(tf.identity(images)), latents, rtol=1e-3, atol=1e-3)
    with pytest.raises(ValueError, match="divisible"):
        flow.inverse(tf.zeros([6, 4, 1]))
    with pytest.raises(ValueError, match="channels"):
        flow.inverse(tf.zeros([4, 4, 3]))


def test_flows_of_equal_arguments_are_not_equal():
    one, other = small_flow(), small_flow()
    assert one == one
    assert one != other
    assert hash(one) == hash(one)


def test_regularized_variables_are_the_gains():
    channels, width = 3, 2
    flow = small_flow(channels, width=width)

    def network(width, outputs):
        # Gains start at sqrt(size ** 2 / 6). Two taps and the last convolution are 1x1, and one convolution is 3x3.
        return (2 * width + outputs) / 6 + width * 9 / 6

    # Level 0 has three checkerboards, and three channel couplings that see half of the 4C channels. Level 1 has four
    # checkerboards of 2C channels.
    expected = 3 * network(width, 2 * 3) + 3 * network(2 * width, 2 * 6) + 4 * network(2 * width, 2 * 6)

    def total():
        return sum(np.sum(np.square(v)) for v in flow.regularized_variables)

    np.testing.assert_allclose(total(), expected, rtol=1e-5)
    for v in flow.trainable_variables:
        if v.name.endswith("log_scale_gain:0"):
            v.assign(2.0)
    # Those of checkerboards are regularized, and those of channel couplings are not.
    np.testing.assert_allclose(total(), expected + 7 * 4, rtol=1e-5)
