"""The preprocessing of pictures in the paper and its released program, as functions for tf.data's `map`."""

import numpy as np
import tensorflow as tf


def pad_to_32(image, seed):
    """Returns the picture [28, 28, C] with 2 black pixels on each side, [32, 32, C]."""
    return tf.pad(image, [[2, 2], [2, 2], [0, 0]])


def unchanged(image, seed):
    """Returns the image itself, for data that are stored as they are used."""
    return image


def lsun(image, seed):
    """Returns a random square of 64 pixels, uint8 [64, 64, C], of the picture with its short side reduced to 96."""
    return tf.image.stateless_random_crop(reduce_short_side(image, 96), [64, 64, image.shape[-1]], seed)


def reduce_short_side(image, side):
    """Returns the picture with a short side of `side` pixels, uint8 [H, W, C].

    It repeats what scikit-image's `pyramid_reduce` does for the released program: a Gaussian filter, whose standard
    deviation is a third of the factor and which is cut at four of them, with mirrored edges; then linear interpolation,
    with the long side rounded up; then the fractions of pixel values are cut off. A picture that is too small is
    enlarged without the filter.
    """
    size = tf.shape(image)[:2]
    short = tf.reduce_min(size)
    factor = tf.cast(short, tf.float32) / side
    pixels = tf.cast(image, tf.float32)
    smooth = tf.cond(factor > 1, lambda: _gaussian(pixels, factor / 3), lambda: pixels)
    reduced = tf.image.resize(smooth, -(-size * side // short), method="bilinear")  # rounded up
    # The margin keeps a whole number that came out a little too small from losing a level.
    return tf.cast(tf.floor(reduced + 1e-3), tf.uint8)


def celeb_a(image, size):
    """Returns rows 40 to 187 and columns 15 to 162, resized to float32 [size, size, 3]: bilinear, not antialiased."""
    return tf.image.resize(image[40:188, 15:163], [size, size], method="bilinear")


def rounded(pixels):
    """Returns the pixels rounded to the nearest of 256 levels, uint8."""
    return tf.cast(tf.round(pixels), tf.uint8)


def with_noise(pixels, seed):
    """Returns pixels in [0, 255] that are not whole numbers plus uniform noise in [0, 1): float32 in [0, 256)."""
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
