"""`ActNorm` and `initialize_from_data`: each channel starts with mean 0 and variance 1, once."""

import warnings

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.models import on_prior
from tfp_realnvp import ActNorm, Composition, FactorOut, initialize_from_data, load_flow, save_flow

tfb = tfp.bijectors
SHAPE = (4, 4, 2)


def pixels(seed=0, count=20):
    random = np.random.RandomState(seed)
    return (random.gamma(2.0, 3.0, (count, *SHAPE)) * [1.0, 5.0] + [-2.0, 7.0]).astype(np.float32)


def two_norms():
    return Composition([ActNorm(2), tfb.Sinh(), ActNorm(2, name="second")], name="flow")


def moments(x):
    x = np.asarray(x, np.float64)
    return x.mean((0, 1, 2)), x.var((0, 1, 2))


def test_every_norm_starts_by_what_reaches_it():
    flow, images = two_norms(), pixels()
    initialize_from_data(on_prior(flow, shape=SHAPE), images)
    for output in (flow.parts[0].inverse(images), flow.inverse(images)):
        mean, variance = moments(output)
        np.testing.assert_allclose(mean, 0, atol=1e-5)
        np.testing.assert_allclose(variance, 1, rtol=1e-4)
    mean, variance = moments(images)
    np.testing.assert_allclose(flow.parts[0].bias, -mean, rtol=1e-5)
    np.testing.assert_allclose(flow.parts[0].log_scale, -0.5 * np.log(variance), rtol=1e-4)


def test_a_norm_that_was_set_or_loaded_is_never_set_again(tmp_path):
    flow = on_prior(two_norms(), shape=SHAPE)
    initialize_from_data(flow, pixels())
    before = [v.numpy() for v in flow.variables]
    initialize_from_data(flow, pixels(seed=1))
    save_flow(flow, tmp_path / "flow")
    loaded = load_flow(tmp_path / "flow")
    initialize_from_data(loaded, pixels(seed=1))
    for values in (flow.variables, loaded.variables):
        assert all(np.array_equal(a, b) for a, b in zip(before, values, strict=True))


def test_those_that_are_new_start_by_what_the_old_ones_give():
    old = ActNorm(2)
    initialize_from_data(on_prior(old, shape=SHAPE), pixels())
    kept = old.bias.numpy()
    flow = Composition([old, tfb.Scale(3.0), ActNorm(2, name="new")], name="flow")
    initialize_from_data(on_prior(flow, shape=SHAPE), pixels(seed=1))
    np.testing.assert_array_equal(old.bias, kept)
    np.testing.assert_allclose(moments(flow.inverse(pixels(seed=1)))[1], 1, rtol=1e-4)


def test_inverted_it_starts_by_its_forward():
    norm = ActNorm(2)
    initialize_from_data(on_prior(tfb.Invert(norm), shape=SHAPE), pixels())
    mean, variance = moments(norm.forward(pixels()))
    np.testing.assert_allclose(mean, 0, atol=1e-5)
    np.testing.assert_allclose(variance, 1, rtol=1e-4)


def test_what_the_cache_of_tfp_holds_does_not_hide_a_norm():
    flow, images = two_norms(), tf.constant(pixels())
    latents = flow.inverse(images)
    initialize_from_data(on_prior(flow, shape=SHAPE), images)
    assert all(norm.initialized for norm in flow.parts[::2])
    assert latents.shape == images.shape


def test_one_value_a_channel_has_no_variance():
    with pytest.raises(ValueError, match=r"`pixels`: 'act_norm'.*\(1, 1, 1, 2\).*give it more images"):
        initialize_from_data(on_prior(ActNorm(2), shape=(1, 1, 2)), tf.zeros([1, 1, 1, 2]))


def test_forward_and_inverse_never_set_it_and_forward_says_so():
    norm = ActNorm(2, name="mine")
    with pytest.warns(UserWarning, match=r"'mine' were never initialized.*FlowModel.fit.*initialize_from_data"):
        sample = tf.function(norm.forward)(pixels())
    np.testing.assert_array_equal(sample, pixels())
    np.testing.assert_array_equal(norm.inverse(pixels()), pixels())
    assert not norm.initialized
    initialize_from_data(on_prior(norm, shape=SHAPE), pixels())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        norm.forward(pixels())


def test_a_constant_channel_gets_a_finite_scale():
    norm = ActNorm(2)
    initialize_from_data(on_prior(norm, shape=SHAPE), np.full((3, *SHAPE), 7.5, np.float32))
    np.testing.assert_allclose(norm.inverse(np.full((1, *SHAPE), 7.5, np.float32)), 0)
    assert np.all(np.isfinite(norm.log_scale))


def test_nothing_changes_if_a_batch_is_not_finite_or_a_norm_is_not_reached():
    flow = two_norms()
    with pytest.raises(FloatingPointError, match=r"`pixels`.*'act_norm'.*not finite; nothing was changed"):
        initialize_from_data(on_prior(flow, shape=SHAPE), np.full((3, *SHAPE), np.nan, np.float32))
    beside = on_prior(two_norms(), shape=SHAPE)
    beside.other = ActNorm(2, name="beside")
    with pytest.raises(ValueError, match=r"does not reach 'beside'; nothing was changed"):
        initialize_from_data(beside, pixels())
    for norm in (*flow.parts[::2], *beside.bijector.parts[::2]):
        assert not norm.initialized
        np.testing.assert_array_equal(norm.bias, 0)


def test_it_is_reached_in_a_part_that_is_factored_out():
    flow = FactorOut(ActNorm(1))
    initialize_from_data(on_prior(flow, shape=SHAPE), pixels())
    mean, variance = moments(flow.inverse(pixels()))
    np.testing.assert_allclose([mean[0], variance[0]], [0, 1], atol=1e-4)
    np.testing.assert_allclose([mean[1], variance[1]], [m[1] for m in moments(pixels())], rtol=1e-5)
