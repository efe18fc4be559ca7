"""What the paper and its released program do to pictures before a model sees them; for the maps of tf.data."""

import numpy as np
import tensorflow as tf


def pad_to_32(image, seed):
    """28x28 to 32x32, black all round."""
    return tf.pad(image, [[2, 2], [2, 2], [0, 0]])


def unchanged(image, seed):
    """For images that are stored as they are used."""
    return image


def lsun(image, seed):
    """Reduces the short side to 96 pixels and cuts a square of 64 at a random place."""
    return tf.image.stateless_random_crop(reduce_short_side(image, 96), [64, 64, image.shape[-1]], seed)


def reduce_short_side(image, side):
    """Returns uint8 [H, W, C] whose short side is `side`.

    As the released program has it from scikit-image's `pyramid_reduce`: a Gaussian of a third of the factor, cut at
    four standard deviations, edges mirrored; then linear interpolation, the long side rounded up; then fractions of
    pixels are cut off. A picture that is too small is enlarged without the Gaussian.
    """
    size = tf.shape(image)[:2]
    short = tf.reduce_min(size)
    factor = tf.cast(short, tf.float32) / side
    pixels = tf.cast(image, tf.float32)
    smooth = tf.cond(factor > 1, lambda: _gaussian(pixels, factor / 3), lambda: pixels)
    reduced = tf.image.resize(smooth, -(-size * side // short), method="bilinear")  # rounded up
    # A whole number that comes out a little smaller is no level less.
    return tf.cast(tf.floor(reduced + 1e-3), tf.uint8)


def celeb_a(image, size):
    """Rows 40 to 187 and columns 15 to 162, resized to size x size: bilinear, neither antialiased nor rounded."""
    return tf.image.resize(image[40:188, 15:163], [size, size], method="bilinear")


def rounded(pixels):
    """The nearest of 256 levels, uint8."""
    return tf.cast(tf.round(pixels), tf.uint8)


def with_noise(pixels, seed):
    """Pixels in [0, 255] that are no whole numbers, plus uniform noise: float32 in [0, 256)."""
    noisy = pixels + tf.random.stateless_uniform(tf.shape(pixels), seed)
    return tf.minimum(noisy, np.nextafter(np.float32(256), np.float32(0)))


def _gaussian(image, sigma):
    radius = tf.cast(4 * sigma + 0.5, tf.int32)
    offsets = tf.cast(tf.range(-radius, radius + 1), tf.float32)
    weights = tf.nn.softmax(-0.5 * (offsets / sigma) ** 2)
    channels = tf.transpose(image, [2, 0, 1])[..., tf.newaxis]  # a batch of grey pictures
    for axis in (1, 2):
        margin = tf.scatter_nd([[axis]], [radius], [4])
        shape = tf.tensor_scatter_nd_update([1, 1, 1, 1], [[axis - 1]], [2 * radius + 1])
        channels = tf.pad(channels, tf.stack([margin, margin], 1), "SYMMETRIC")
        channels = tf.nn.conv2d(channels, tf.reshape(weights, shape), 1, "VALID")
    return tf.transpose(channels[..., 0], [1, 2, 0])
