"""Networks without normalisation compute their formulas, and start at zero."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.models import values
from tests.time_limits import HANG_SECONDS
from tfp_realnvp import ChannelHalves, Checkerboard, PlainNetwork
from tfp_realnvp.networks.convolution import Convolution
from tfp_realnvp.networks.zero_network import ZeroNetwork


def _convolved(x, convolution):
    """Each position of the answer by itself: the sum over the filter's places."""
    filters, bias = convolution.filters.numpy(), convolution.bias.numpy()
    size = filters.shape[0]
    edge = size // 2
    padded = np.pad(x, [(0, 0), (edge, edge), (edge, edge), (0, 0)])
    height, width = x.shape[1:3]
    return bias + sum(
        padded[:, i : i + height, j : j + width] @ filters[i, j] for i in range(size) for j in range(size)
    )


def _leaky(h):
    return np.maximum(h, 0.1 * h)


def _moved(network):
    random = np.random.RandomState(1)
    for variable in network.trainable_variables:
        variable.assign(0.5 * random.randn(*variable.shape))
    return network


@pytest.mark.parametrize("recompute_gradients", [False, True])
@pytest.mark.parametrize(("mask", "inputs"), [(ChannelHalves(1), slice(2, 4)), (Checkerboard(), slice(None))])
def test_a_plain_network_computes_its_formula(mask, inputs, recompute_gradients):
    network = PlainNetwork(
        mask, 4, 3, 2, conditioning_size=2, recompute_gradients=recompute_gradients, dtype=tf.float64
    )
    random = np.random.RandomState(0)
    x, conditioning = 4 * random.randn(2, 5, 3, 4), random.randn(2, 2)
    assert np.any(np.abs(x) > 5)
    assert not np.any(network(tf.constant(x), conditioning=tf.constant(conditioning)))
    _moved(network)
    h = _convolved(np.clip(x[..., inputs], -5, 5), network.conv_in)
    h = h + (conditioning @ network.conditioning_bias.weights.numpy())[:, None, None]
    for conv_0, conv_1 in network.blocks:
        h = h + _convolved(_leaky(_convolved(_leaky(h), conv_0)), conv_1)
    expected = _convolved(_leaky(h), network.conv_out)
    np.testing.assert_allclose(network(tf.constant(x), conditioning=tf.constant(conditioning)), expected, rtol=1e-10)


def test_what_starts_at_random_has_the_deviation_that_keeps_the_scale():
    filters = Convolution(64, 96, 3).filters.numpy()
    np.testing.assert_allclose(filters.std(), np.sqrt(2 / (9 * 64)), rtol=0.02)
    assert abs(filters.mean()) < 1e-3


def test_a_zero_network_is_one_convolution_of_what_is_kept():
    network = ZeroNetwork(ChannelHalves(0), 4, conditioning_size=2, dtype=tf.float64)
    assert not any(np.any(v) for v in values(network.trainable_variables))
    _moved(network)
    random = np.random.RandomState(0)
    x, conditioning = random.randn(2, 5, 3, 4), random.randn(2, 2)
    expected = _convolved(x[..., :2], network.conv)
    expected = expected + (conditioning @ network.conditioning_bias.weights.numpy())[:, None, None]
    np.testing.assert_allclose(network(tf.constant(x), conditioning=tf.constant(conditioning)), expected, rtol=1e-10)


ONEDNN = """
import tensorflow as tf
import tensorflow_probability as tfp
from tfp_realnvp import GlowImage

flow = GlowImage(num_scales=2, depth=2, width=16)
for i, variable in enumerate(flow.trainable_variables):
    variable.assign_add(0.1 * tf.random.stateless_normal(variable.shape, [i, 0]))
prior = tfp.distributions.Sample(tfp.distributions.Normal(0.0, 1.0), [8, 8, 3])
images = tfp.distributions.TransformedDistribution(prior, flow)
pixels = tf.random.stateless_uniform([4, 8, 8, 3], [0, 1], maxval=256.0)

def gradients(pixels):
    with tf.GradientTape() as tape:
        log_prob = images.log_prob(pixels)
    return tape.gradient(log_prob, flow.trainable_variables)

for function in (images.log_prob, lambda x: images.sample(4, seed=(0, 1)), gradients):
    for expected, found in zip(tf.nest.flatten(function(pixels)), tf.nest.flatten(tf.function(function)(pixels))):
        print(float(tf.norm(found - expected) / tf.norm(expected)))
"""


def test_tensorflow_with_onednn_computes_the_same_in_a_graph():
    done = subprocess.run(
        [sys.executable, "-c", ONEDNN],
        env=os.environ | {"TF_ENABLE_ONEDNN_OPTS": "1", "TF_CPP_MIN_LOG_LEVEL": "0"},
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    assert "remapper failed" not in done.stderr
    errors = [float(line) for line in done.stdout.split()]
    assert len(errors) > 40
    assert max(errors) < 1e-3
