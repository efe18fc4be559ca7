"""`PixelLogit` computes the formula of the paper, and stays finite at the ends of the range and beyond."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_realnvp import PixelLogit


@pytest.mark.parametrize("squash", ["paper", "released"])
def test_pixel_logit_computes_its_formula(squash):
    x = np.random.RandomState(0).uniform(0, 256, (3, 4, 4, 1))
    slope = {"paper": 0.95, "released": 0.9}[squash]
    p = 0.05 + slope * x / 256
    logit = PixelLogit(256, squash)
    np.testing.assert_allclose(logit.inverse(x), np.log(p) - np.log(1 - p), rtol=1e-12)
    # This sees both signs: with one of them wrong, the densities of a picture and of its negative would be exchanged.
    expected = np.sum(np.log(slope / 256) - np.log(p) - np.log(1 - p), (1, 2, 3))
    np.testing.assert_allclose(logit.inverse_log_det_jacobian(x, 3), expected, rtol=1e-12)


@pytest.mark.parametrize("squash", ["paper", "released"])
@pytest.mark.parametrize("levels", [256, 17, 2])
def test_pixel_logit_is_finite_at_the_ends(squash, levels):
    ends = tf.constant([0.0, np.nextafter(np.float32(levels), np.float32(0))])
    logit = PixelLogit(levels, squash)
    y = logit.inverse(ends)
    assert np.all(np.isfinite(y))
    assert np.all(np.isfinite(logit.inverse_log_det_jacobian(ends, 0)))
    np.testing.assert_allclose(y[0], np.log(0.05 / 0.95), rtol=1e-5)
    back = logit.forward(tf.identity(y))
    np.testing.assert_allclose(back, ends, rtol=1e-6, atol=1e-6 * levels)


@pytest.mark.parametrize("squash", ["paper", "released"])
def test_pixel_logit_is_inverted_outside_of_the_pixels(squash):
    # Samples may lie here, and `log_prob` must find the latents that they came from, not those of the nearest pixel.
    logit = PixelLogit(256, squash)
    y = tf.constant([-12.0, -6.0, -3.0, 3.0, 6.0, 12.0], tf.float64)
    x = tf.identity(logit.forward(y))
    np.testing.assert_allclose(logit.inverse(x), y, rtol=1e-9)
    np.testing.assert_allclose(logit.inverse_log_det_jacobian(x, 0), -logit.forward_log_det_jacobian(y, 0), rtol=1e-9)


@pytest.mark.parametrize("squash", ["paper", "released"])
def test_pixel_logit_is_finite_for_all_samples(squash):
    logit = PixelLogit(256, squash)
    x = tf.identity(logit.forward(tf.constant([-80.0, -20.0, -17.0, 17.0, 20.0, 80.0])))
    assert np.all(np.isfinite(logit.inverse(x)))
    assert np.all(np.isfinite(logit.inverse_log_det_jacobian(x, 0)))


def test_samples_are_pixels():
    # In a flow whose couplings are all at the identity, a latent of 0 gives mid-grey, so that the squash is undone, ...
    flow = PixelLogit()
    np.testing.assert_allclose(flow.forward(tf.zeros([4])), 128.0)
    # ... and the logits of the darkest and the brightest pixel give these pixels, not 5 % and 95 % of the range.
    np.testing.assert_allclose(flow.forward(tf.math.log([0.05 / 0.95, 0.95 / 0.05])), [0, 256], atol=1e-3)
