"""A weight-normalised convolution computes its formula, and it starts with bounded filters."""

import numpy as np
import tensorflow as tf

from tfp_realnvp.networks.weight_norm_conv import WeightNormConv


def test_weight_norm_computes_its_formula():
    x = np.random.RandomState(0).randn(1, 5, 4, 2)
    conv = WeightNormConv(2, 3, 1, gain=True, bias=True, dtype=tf.float64)
    conv.gain.assign([0.5, 1.0, 2.0])
    conv.bias.assign([0.1, 0.2, 0.3])
    filters = conv.filters.numpy()[0, 0]
    filters = filters / np.sqrt(np.sum(filters**2, 0)) * conv.gain.numpy()
    np.testing.assert_allclose(conv(tf.constant(x)), x @ filters + conv.bias.numpy(), rtol=1e-12)
    start = WeightNormConv(8, 3, 3, gain=True)
    assert np.max(np.abs(start.filters)) <= np.sqrt(2 / 8)
    np.testing.assert_allclose(start.gain, np.sqrt(2 / 8) * np.sqrt(8 * 9 / 12), rtol=1e-6)
