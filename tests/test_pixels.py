"""`dequantize` adds noise to whole numbers, and `quantize` takes it away."""

import numpy as np
import pytest
import tensorflow as tf

from tests import models
from tfp_realnvp import dequantize, quantize


def test_dequantize_adds_noise_that_quantize_takes_away():
    images = np.random.RandomState(0).randint(0, 256, (8, 4, 4, 1))
    noisy = dequantize(images, seed=(1, 2)).numpy()
    assert np.all((noisy >= images) & (noisy < images + 1))
    assert 0.4 < np.mean(noisy - images) < 0.6
    np.testing.assert_array_equal(dequantize(images, seed=(1, 2)), noisy)
    assert np.all(dequantize(images, seed=(1, 3)) != noisy)
    part = dequantize(images[2:5], seed=(1, 2), first_row=2, rows=8)
    np.testing.assert_array_equal(part, noisy[2:5])
    np.testing.assert_array_equal(quantize(noisy), images)
    assert quantize(noisy).dtype == tf.uint8
    assert quantize(noisy, 1024).dtype == tf.uint16
    np.testing.assert_array_equal(quantize(tf.constant([-2.0, 16.9, 17.0, 300.0]), 17), [0, 16, 16, 16])


@pytest.mark.parametrize("levels", [256, 17, 2])
def test_dequantized_stays_below_levels(levels, monkeypatch):
    # In float32, the sum of 255 and the largest number below 1 is 256.
    monkeypatch.setattr(tf.random, "stateless_uniform", lambda shape, seed: tf.fill(shape, np.float32(1 - 2**-24)))
    noisy = dequantize(np.full([2, 3], levels - 1), levels, seed=(1, 2))
    assert np.all(noisy < levels)
    np.testing.assert_array_equal(quantize(noisy, levels), levels - 1)


def test_the_noise_of_replicas_is_that_of_the_batch():
    x = tf.constant(models.images(6))
    whole = dequantize(x, seed=[1, 2])
    parts = [dequantize(x[i : i + 2], seed=[1, 2], first_row=i, rows=6) for i in (0, 2, 4)]
    models.assert_equal([whole.numpy()], [np.concatenate(parts)])
