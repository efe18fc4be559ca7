"""The conditioning reaches every coupling network of a flow."""

import numpy as np
import pytest
import tensorflow as tf

from tests.models import pixels, small_flow
from tfp_realnvp import CouplingNetwork


def test_conditioning_reaches_every_network():
    flow = small_flow(conditioning_size=3)
    networks = [m for m in flow.submodules if isinstance(m, CouplingNetwork)]
    assert len(networks) == 10
    first, second = tf.eye(3)[:1], tf.eye(3)[1:2]
    for network in networks:
        x = tf.random.normal([1, 4, 4, network.channels])
        np.testing.assert_array_equal(network(x, conditioning=first), network(x, conditioning=second))
        weights = network.network.conditioning_bias.weights
        weights.assign(tf.random.normal(weights.shape))
        assert np.max(np.abs(network(x, conditioning=first) - network(x, conditioning=second))) > 1e-3
    x = pixels(2, 4, 4, 1)
    both = flow.inverse(x, conditioning=tf.concat([first, second], 0))
    # One vector is broadcast over the batch.
    np.testing.assert_allclose(flow.inverse(x, conditioning=first[0])[0], both[0], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(flow.inverse(x, conditioning=second)[1], both[1], rtol=1e-5, atol=1e-5)
    for wrong in (None, tf.ones([2, 4]), tf.ones([5, 3])):
        with pytest.raises(ValueError, match="conditioning"):
            flow.inverse(x, conditioning=wrong)
