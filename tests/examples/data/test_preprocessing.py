"""TensorFlow changes pictures before training in the same way as NumPy, SciPy and Pillow do."""

import numpy as np
import pytest
import tensorflow as tf

from examples.data import preprocessing

ndimage = pytest.importorskip("scipy.ndimage")

# Where the fraction of a pixel is this close to a whole number, float32 may fall on its other side.
CLOSE = 3e-3


def picture(height, width, seed=0):
    """Waves and a little noise: neighbours are alike, as in a photograph."""
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(x / 9 + y / 17), np.cos(x / 31 - y / 5), np.sin(y / 3) * np.cos(x / 4)], -1)
    noise = np.random.default_rng(seed).normal(0, 15, waves.shape)
    return (127 + 110 * waves + noise).clip(0, 255).astype(np.uint8)


def linear(pixels, target):
    """Linear interpolation of float64 [H, W, C] to `target` rows and columns, half-pixel centres, edges repeated."""
    for axis, count in enumerate(target):
        length = pixels.shape[axis]
        place = ((np.arange(count) + 0.5) * length / count - 0.5).clip(0, length - 1)
        low = np.floor(place).astype(int)
        share = (place - low).reshape([-1 if a == axis else 1 for a in range(3)])
        high = np.minimum(low + 1, length - 1)
        pixels = np.take(pixels, low, axis) * (1 - share) + np.take(pixels, high, axis) * share
    return pixels


def crop_of_celeb_a(image, size):
    """float64 [size, size, 3] of an aligned picture."""
    return linear(image[40:188, 15:163].astype(np.float64), (size, size))


def reduced(image, side):
    """float64: the released program's pictures of LSUN before fractions are cut off."""
    height, width = image.shape[:2]
    factor = min(height, width) / side
    pixels = image.astype(np.float64)
    if factor > 1:
        sigma = factor / 3
        pixels = ndimage.gaussian_filter(pixels, (sigma, sigma, 0), mode="reflect", truncate=4)
    return linear(pixels, (-(-height * side // min(height, width)), -(-width * side // min(height, width))))


def assert_whole_numbers(found, exact, make, close=CLOSE):
    """`found` is `make` of `exact`, but where that is a matter of rounding."""
    assert found.dtype == np.uint8
    assert found.shape == exact.shape
    low, high = make(exact - close), make(exact + close)
    assert (low == high).mean() > 0.98
    assert ((found == low) | (found == high)).all()


def half_even(pixels):
    return np.round(pixels).astype(int)


# These tests are of CelebA.


@pytest.mark.parametrize("size", [64, 32, 148, 200])
def test_celeb_a_rounded(size):
    image = picture(218, 178)
    found = preprocessing.rounded(preprocessing.celeb_a(tf.constant(image), size)).numpy()
    assert_whole_numbers(found, crop_of_celeb_a(image, size), half_even)
    if size == 148:
        np.testing.assert_array_equal(found, image[40:188, 15:163])


def test_celeb_a_is_not_antialiased():
    """The contrast of a chess board of single pixels stays, though 148 become 64."""
    board = np.indices((218, 178)).sum(0) % 2 * 255
    found = preprocessing.celeb_a(tf.constant(np.repeat(board[..., None], 3, -1).astype(np.uint8)), 64).numpy()
    assert found.std() > 30


def test_celeb_a_unrounded():
    image = picture(218, 178)
    pixels = preprocessing.celeb_a(tf.constant(image), 64).numpy()
    exact = crop_of_celeb_a(image, 64)
    np.testing.assert_allclose(pixels, exact, atol=CLOSE, rtol=0)
    assert (pixels % 1 > 0.01).mean() > 0.8
    found = [preprocessing.with_noise(tf.constant(pixels), [0, seed]).numpy() for seed in range(50)]
    noise = np.stack(found) - pixels.astype(np.float64)
    assert found[0].dtype == np.float32
    assert noise.min() >= 0
    assert noise.max() <= 1  # It is less, but for rounding.
    assert abs(noise.mean() - 0.5) < 5 / np.sqrt(12 * noise.size)
    assert len({image.tobytes() for image in found}) == 50


def test_noise_stays_below_256():
    white = tf.fill([100, 100, 100], 255.0)
    found = preprocessing.with_noise(white, [0, 0]).numpy()
    assert found.min() >= 255
    assert 255.999 < found.max() < 256
    just_below = preprocessing.with_noise(tf.fill([1000, 1000], np.nextafter(np.float32(255), np.float32(0))), [0, 1])
    assert just_below.numpy().max() < 256


# These tests are of LSUN.


@pytest.mark.parametrize(
    "size",
    [(256, 341), (400, 256), (256, 256), (200, 200), (97, 130), (192, 384), (257, 769), (1201, 900)],
    ids="{0[0]}x{0[1]}".format,
)
def test_lsun_reduced(size):
    image = picture(*size)
    found = preprocessing.reduce_short_side(tf.constant(image), 96).numpy()
    assert min(found.shape[:2]) == 96
    # Fractions are cut off. The 1e-3 is for whole numbers that float32 makes a little smaller.
    assert_whole_numbers(found, reduced(image, 96) + 1e-3, lambda pixels: np.floor(pixels).astype(int))


def test_lsun_of_the_right_size_is_unchanged():
    image = picture(96, 120)
    np.testing.assert_array_equal(preprocessing.reduce_short_side(tf.constant(image), 96), image)


@pytest.mark.parametrize("size", [(48, 60), (64, 64), (1, 3), (95, 200)], ids="{0[0]}x{0[1]}".format)
def test_lsun_enlarged(size):
    image = picture(*size)
    found = preprocessing.reduce_short_side(tf.constant(image), 96).numpy()
    assert_whole_numbers(found, reduced(image, 96) + 1e-3, lambda pixels: np.floor(pixels).astype(int), close=5e-4)


def test_the_long_side_is_rounded_up_exactly():
    """For every size of a picture; a float that is a little too large would add a row."""
    shape = tf.function(lambda image: tf.shape(preprocessing.reduce_short_side(image, 96)))
    for short, long in ((256, 256), (256, 257), (256, 512), (97, 194), (2903, 5806), (2903, 5807), (333, 999)):
        expected = [96, -(-long * 96 // short), 3]
        assert shape(tf.zeros([short, long, 3], tf.uint8)).numpy().tolist() == expected


def test_grey_stays_grey():
    reduce = tf.function(lambda value: preprocessing.reduce_short_side(tf.fill([160, 213, 3], value), 96))
    for value in range(256):
        assert np.unique(reduce(tf.constant(value, tf.uint8))).tolist() == [value]


def test_lsun_crops_are_parts_of_the_picture():
    image = np.zeros((96, 128, 3), np.uint8)
    image[..., 0], image[..., 1] = np.arange(96)[:, None], np.arange(128)
    crops = [preprocessing.lsun(tf.constant(image), [0, seed]).numpy() for seed in (1, 1, 2)]
    np.testing.assert_array_equal(crops[0], crops[1])
    assert (crops[0] != crops[2]).any()
    for crop in crops:
        top, left = crop[0, 0, :2]
        np.testing.assert_array_equal(crop, image[top : top + 64, left : left + 64])


def test_lsun_crops_are_uniform():
    image = np.zeros((96, 112, 3), np.uint8)
    image[..., 0], image[..., 1] = np.arange(96)[:, None], np.arange(112)
    seeds = tf.data.Dataset.range(6000).map(lambda i: preprocessing.lsun(tf.constant(image), tf.stack([7, i]))[0, 0])
    corners = np.stack(list(seeds.as_numpy_iterator()))
    for axis, places in ((0, 33), (1, 49)):
        found = np.bincount(corners[:, axis], minlength=places)
        assert len(found) == places
        chi_square = ((found - 6000 / places) ** 2).sum() / (6000 / places)
        assert chi_square < places - 1 + 5 * np.sqrt(2 * (places - 1))  # five standard deviations
    assert abs(np.corrcoef(corners[:, :2].T)[0, 1]) < 5 / np.sqrt(6000)


# These tests are of MNIST.


def test_mnist_is_padded_by_black():
    image = picture(28, 28)[..., :1]
    np.testing.assert_array_equal(
        preprocessing.pad_to_32(tf.constant(image), None), np.pad(image, ((2, 2), (2, 2), (0, 0)))
    )


# This test is of the interpolation above.


def test_bilinear_of_pillow_agrees_where_it_enlarges():
    """Pillow antialiases what it reduces, so the interpolation of these tests is held against it by enlarging."""
    pillow = pytest.importorskip("PIL.Image")
    channel = picture(20, 30)[..., 0].astype(np.float32)
    expected = np.asarray(pillow.fromarray(channel).resize((70, 51), pillow.Resampling.BILINEAR))
    np.testing.assert_allclose(linear(channel[..., None].astype(float), (51, 70))[..., 0], expected, atol=1e-3)
