"""`Muon` takes orthogonal steps for filters, and those of `Adam` for all else."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tests.models import compiled, images, tiny
from tfp_realnvp import Adam, Muon

SHAPE = (3, 3, 8, 16)


def step(optimizer, gradients, variables):
    optimizer.apply_gradients(zip(gradients, variables, strict=True))
    return [v.numpy() for v in variables]


def newton_schulz(matrix):
    """The iteration of the reference, in float64 and one matrix at a time."""
    x = matrix.T / (np.linalg.norm(matrix) + 1e-7)
    for _ in range(5):
        square = x @ x.T
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.T


def test_two_steps_have_the_closed_form():
    random = np.random.RandomState(0)
    gradients = random.randn(2, *SHAPE)
    filters = tf.Variable(tf.zeros(SHAPE, tf.float64))
    optimizer = Muon(0.01, momentum=0.9)
    expected, m = np.zeros((72, 16)), 0.0
    for gradient in gradients:
        optimizer.apply_gradients([(tf.constant(gradient), filters)])
        g = gradient.reshape(72, 16)
        m = 0.9 * m + 0.1 * g
        expected -= float(np.float32(0.01)) * np.sqrt(72) * newton_schulz(0.9 * m + 0.1 * g)
        np.testing.assert_allclose(filters.numpy().reshape(72, 16), expected, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("shape", [SHAPE, (1, 1, 8, 64)])
def test_an_update_is_nearly_orthogonal_and_of_the_size_of_adams(shape):
    filters = tf.Variable(tf.zeros(shape))
    [update] = step(Muon(1.0), [tf.random.stateless_normal(shape, (0, 1))], [filters])
    rows = int(np.prod(shape[:3]))
    values = np.linalg.svd(update.reshape(rows, shape[3]), compute_uv=False) / np.sqrt(max(rows, shape[3]))
    assert np.all((values > 0.6) & (values < 1.3))
    np.testing.assert_allclose(np.sqrt(np.mean(update**2)), 1.0, rtol=0.2)


@pytest.mark.parametrize("size", [0.0, 1e-30, 2e-19, 1e-15])
def test_a_gradient_that_is_nothing_but_rounding_moves_nothing(size):
    # In float32 the squares of 1e-19 are 0 or nearly so, and a norm of them is wrong by any factor.
    filters = tf.Variable(tf.ones(SHAPE))
    [after] = step(Muon(0.1), [size * tf.random.stateless_normal(SHAPE, (0, 1))], [filters])
    np.testing.assert_allclose(after, 1, atol=1e-3)


def test_what_is_no_filter_gets_adams_steps_and_filters_of_one_shape_do_not_mix():
    shapes = [(5,), (4, 6), SHAPE, SHAPE]
    gradients = [tf.random.stateless_normal(shape, (1, i)) for i, shape in enumerate(shapes)]
    ours = step(Muon(0.1, epsilon=1e-8), gradients, [tf.Variable(tf.ones(s)) for s in shapes])
    adams = step(Adam(0.1, epsilon=1e-8), gradients[:2], [tf.Variable(tf.ones(s)) for s in shapes[:2]])
    for a, b in zip(ours, adams, strict=False):
        np.testing.assert_array_equal(a, b)
    [alone] = step(Muon(0.1, epsilon=1e-8), gradients[3:], [tf.Variable(tf.ones(SHAPE))])
    np.testing.assert_allclose(ours[3], alone, rtol=1e-5)


def test_directions_without_a_gradient_hardly_move():
    # Early gradients have few directions; rounding must not grow to the size of an update in all the others.
    left, right = (tf.random.stateless_normal([size, 1], (2, size)) for size in (72, 16))
    gradient = tf.reshape(left @ tf.transpose(right), SHAPE)
    [update] = step(Muon(1.0), [gradient], [tf.Variable(tf.zeros(SHAPE))])
    first, *others = np.linalg.svd(update.reshape(72, 16), compute_uv=False) / np.sqrt(72)
    assert 0.6 < first < 1.3
    assert max(others) < 1e-3


def test_a_gradient_of_zero_moves_nothing():
    [filters] = step(Muon(0.1), [tf.zeros(SHAPE)], [tf.Variable(tf.ones(SHAPE))])
    np.testing.assert_array_equal(filters, 1)


def test_a_saved_model_goes_on_as_it_was(tmp_path):
    model = compiled(tiny(), optimizer=Muon(0.01, momentum=0.8))
    model.fit(images(8), epochs=2, verbose=0, shuffle=False)
    model.save(tmp_path / "model.keras")
    loaded = tf_keras.models.load_model(tmp_path / "model.keras")
    assert loaded.optimizer.momentum == 0.8
    for m in (model, loaded):
        m.fit(images(8), verbose=0, shuffle=False)
    for a, b in zip(model.distribution.variables, loaded.distribution.variables, strict=True):
        np.testing.assert_array_equal(a, b)


def test_mistakes():
    with pytest.raises(ValueError, match=r"`momentum`=1.0: must be in \[0, 1\), e.g. 0.95"):
        Muon(momentum=1.0)
    with pytest.raises(ValueError, match=r"`use_ema`=True: must be False.*averaging"):
        Muon(use_ema=True)
