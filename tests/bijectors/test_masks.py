"""Masks are equal to patterns that are written by hand."""

import numpy as np
import pytest

from tfp_realnvp import ChannelHalves, Checkerboard


def test_masks_are_those_written_by_hand():
    even = [[1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1]]
    np.testing.assert_array_equal(Checkerboard(0)((4, 4, 3))[..., 0], even)
    np.testing.assert_array_equal(Checkerboard(1)((4, 4, 3))[..., 0], 1 - np.array(even))
    np.testing.assert_array_equal(ChannelHalves(0)((4, 4, 4)), [1, 1, 0, 0])
    np.testing.assert_array_equal(ChannelHalves(1)((4, 4, 5)), [0, 0, 1, 1, 1])
    with pytest.raises(ValueError, match="parity"):
        Checkerboard(2)
