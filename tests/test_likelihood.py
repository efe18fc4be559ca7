"""Bits/dim of a density and bounds on those of a discrete model, both of distributions known in closed form.

The discrete model is a normal that is cut at whole numbers.
"""

import math

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.models import DIMENSIONS, SHAPE, compiled
from tfp_realnvp import bits_per_dim, importance_weighted_bits_per_dim

tfd = tfp.distributions

# The normal is as narrow as a pixel's bin, so that the bounds differ from the truth and from each other.
LOC, SCALE = 100.3, 1.0
NATS = DIMENSIONS * math.log(2)
DRAWS = 4096


def narrow(dtype=tf.float64):
    return tfd.Independent(tfd.Normal(tf.fill(SHAPE, tf.cast(LOC, dtype)), SCALE), 3)


def whole_numbers(count=8):
    return np.floor(np.random.RandomState(0).normal(LOC, SCALE, [count, *SHAPE]))


def exact_bits(x):
    """Bits/dim under P(x) = product over pixels of F(x + 1) - F(x)."""
    cdf = np.vectorize(lambda v: 0.5 * math.erfc(-(v - LOC) / SCALE / math.sqrt(2)))
    return -np.log(cdf(x + 1) - cdf(x)).sum((1, 2, 3)) / NATS


def plain_bits(x):
    """Bits/dim as the mean of -log p(x + u) over u in [0, 1)."""
    square = ((x + 1 - LOC) ** 3 - (x - LOC) ** 3) / (3 * SCALE**2)
    return (0.5 * square + math.log(SCALE) + 0.5 * math.log(2 * math.pi)).sum((1, 2, 3)) / NATS


@pytest.fixture(scope="module")
def draws():
    """Images [8, ...] and their log_prob [M, 8] in nats."""
    x = whole_numbers()
    noise = np.random.RandomState(1).uniform(size=[DRAWS, *x.shape])
    return x, narrow().log_prob(x + noise).numpy()


def test_one_draw_is_the_plain_bound(draws):
    _, log_prob = draws
    one = importance_weighted_bits_per_dim(log_prob[:1], SHAPE)
    assert one.dtype == tf.float64
    np.testing.assert_array_equal(one, bits_per_dim(log_prob[0], SHAPE))


def test_the_plain_bound_has_its_closed_form(draws):
    x, log_prob = draws
    bits = bits_per_dim(log_prob, tf.constant(SHAPE)).numpy()
    error = bits.std(0) / math.sqrt(DRAWS)
    assert (np.abs(bits.mean(0) - plain_bits(x)) < 4 * error).all()
    # The two are far enough apart for the other tests to tell one from the other.
    assert (plain_bits(x) - exact_bits(x) > 5 * error).all()
    # Gauss-Legendre quadrature replaces the draws: the integrand is a polynomial and a sum over pixels, so it is exact.
    nodes, weights = np.polynomial.legendre.leggauss(2)
    grid = [bits_per_dim(narrow().log_prob(x + (node + 1) / 2), SHAPE).numpy() for node in nodes]
    np.testing.assert_allclose(np.einsum("m,mn->n", weights / 2, grid), plain_bits(x), rtol=1e-5)


def test_more_draws_tighten_the_bound(draws):
    x, log_prob = draws
    previous = np.inf
    for size in (1, 4, 16, 64, 256, 1024, 4096):
        groups = log_prob.reshape(DRAWS // size, size, -1).swapaxes(0, 1)
        bound = importance_weighted_bits_per_dim(groups, SHAPE).numpy()  # [groups, 8]
        assert bound.shape == (DRAWS // size, len(x))
        # These are means over the same draws, so the bound never rises, whatever the draws are.
        assert (bound.mean(0) < previous).all()
        previous = bound.mean(0)
    # By the delta method, this is the relative error of a mean of M densities.
    density = np.exp(log_prob - log_prob.max(0))
    error = density.std(0) / density.mean(0) / math.sqrt(DRAWS) / NATS
    assert (np.abs(previous - exact_bits(x)) < 4 * error).all()
    assert (np.abs(previous - exact_bits(x)) < 0.1 * (plain_bits(x) - exact_bits(x))).all()


def test_draws_of_a_model_tighten_the_bound():
    x = whole_numbers()
    model = compiled(narrow(tf.float32))
    bits = np.stack([model.predict(x, draw=m, verbose=0) for m in range(64)])
    bound = importance_weighted_bits_per_dim(-bits * np.float32(NATS), SHAPE).numpy()
    assert exact_bits(x).mean() < bound.mean() < plain_bits(x).mean()
    assert bound.mean() - exact_bits(x).mean() < 0.25 * (plain_bits(x) - exact_bits(x)).mean()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log_prob_may_be_far_below_what_exp_can_hold(dtype):
    log_prob = np.array([[-8000.0, -np.inf], [-8001.0, -np.inf], [-np.inf, -np.inf]], dtype)
    expected = (8000 - math.log((1 + math.exp(-1)) / 3)) / NATS
    found = importance_weighted_bits_per_dim(log_prob, SHAPE).numpy()
    np.testing.assert_allclose(found, [expected, np.inf], rtol=1e-6)


def test_bits_per_dim_of_a_number():
    expected = 100 / (64 * math.log(2))
    for number in (-100.0, -100, np.float64(-100)):
        np.testing.assert_allclose(bits_per_dim(number, (8, 8, 1)), expected, rtol=1e-6)
    np.testing.assert_allclose(bits_per_dim(-100.0, np.array([8, 8, 1])), expected, rtol=1e-6)


def test_bits_per_dim_are_nats_by_dimensions_and_ln_2():
    shape = (4, 4, 3)
    dimensions = 48
    # This is the log_prob of pixels in [0, 256). That of pixels in [0, 1) is larger by D ln 256.
    log_prob = tf.constant([-100.0, -250.0])
    nll_of_unit_pixels = -(log_prob + dimensions * np.log(256))
    expected = (nll_of_unit_pixels + dimensions * np.log(256)) / (dimensions * np.log(2))
    np.testing.assert_allclose(bits_per_dim(log_prob, shape), expected, rtol=1e-5)
    np.testing.assert_allclose(bits_per_dim(log_prob, tf.constant(shape)), expected, rtol=1e-5)
    # A uniform density over the 256 levels takes 8 bits.
    uniform = tfd.Independent(tfd.Uniform(tf.zeros(shape), 256.0), 3)
    np.testing.assert_allclose(bits_per_dim(uniform.log_prob(tf.ones(shape)), tf.TensorShape(shape)), 8, rtol=1e-6)


@pytest.mark.parametrize(
    "event_shape",
    [
        lambda x: [tf.shape(x)[1], 8, 1],
        lambda x: (tf.shape(x)[1], tf.shape(x)[2], tf.shape(x)[3]),
        lambda x: tf.shape(x)[1:],
        lambda x: x.shape[1:],
    ],
)
def test_event_shapes_in_a_graph(event_shape):
    bits = tf.function(lambda x: bits_per_dim(tf.constant(-100.0), event_shape(x)), autograph=False)
    np.testing.assert_allclose(bits(tf.zeros([2, 8, 8, 1])), 100 / (64 * math.log(2)), rtol=1e-6)


def test_a_wrong_side_beside_one_that_only_the_graph_knows():
    bits = tf.function(lambda x: bits_per_dim(tf.constant(-100.0), [tf.shape(x)[1], 0, 1]), autograph=False)
    with pytest.raises(ValueError, match=r"`event_shape`=.*: must be"):
        bits(tf.zeros([2, 8, 8, 1]))
