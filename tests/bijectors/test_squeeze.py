"""`Squeeze` puts the pixels of a tile in the same order as slices in NumPy."""

import numpy as np

from tfp_realnvp import Squeeze


def test_squeeze_keeps_each_channel_together():
    image = np.arange(32.0).reshape(4, 4, 2)
    squeezed = Squeeze().forward(image).numpy()
    for c, dy, dx in np.ndindex(2, 2, 2):
        np.testing.assert_array_equal(squeezed[..., c * 4 + 2 * dy + dx], image[dy::2, dx::2, c])


def test_ordered_squeeze_puts_the_diagonals_together():
    image = np.arange(32.0).reshape(4, 4, 2)
    top_left, top_right, bottom_left, bottom_right = (image[dy::2, dx::2] for dy, dx in np.ndindex(2, 2))
    expected = np.concatenate([top_left, bottom_right, top_right, bottom_left], -1)
    np.testing.assert_array_equal(Squeeze(ordered=True).forward(image), expected)
