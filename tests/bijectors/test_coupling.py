"""A coupling computes the formula of the paper, and it refuses conditioners that do not fit."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_realnvp import AffineCoupling, ChannelHalves, Checkerboard


@pytest.mark.parametrize("shift_first", [False, True])
@pytest.mark.parametrize("mask", [Checkerboard(0), Checkerboard(1), ChannelHalves(0), ChannelHalves(1)])
def test_a_coupling_computes_its_formula(mask, shift_first):
    x = np.random.RandomState(0).randn(2, 4, 4, 2)
    coupling = AffineCoupling(
        mask, lambda h: tf.concat([h + 2, h - 3], -1), shift_first=shift_first, gain=0.7, offset=True, dtype=tf.float64
    )
    coupling.log_scale_offset.assign(0.2)
    b = mask((4, 4, 2), tf.float64).numpy() * np.ones(x.shape)
    t, s = b * x + 2, 0.7 * np.tanh(b * x - 3) + 0.2
    changed = (x + t) * np.exp(s) if shift_first else x * np.exp(s) + t
    y = coupling.inverse(x).numpy()
    np.testing.assert_allclose(y, b * x + (1 - b) * changed, rtol=1e-12)
    np.testing.assert_allclose(coupling.inverse_log_det_jacobian(x, 3), np.sum((1 - b) * s, (1, 2, 3)), rtol=1e-12)
    # The part that the network sees passes unchanged to the bit.
    np.testing.assert_array_equal(y[b == 1], x[b == 1])
    np.testing.assert_array_equal(coupling.forward(x).numpy()[b == 1], x[b == 1])


def test_a_conditioner_of_the_wrong_kind_is_refused():
    with pytest.raises(TypeError, match="conditioner"):
        AffineCoupling(Checkerboard(), 3)
    with pytest.raises(ValueError, match="last axis must be 4"):
        AffineCoupling(Checkerboard(), lambda h: h).inverse(tf.zeros([2, 2, 2]))
