"""`FactorOut` leaves half of the channels to the prior."""

import numpy as np

from tests.models import pixels, small_flow
from tfp_realnvp import Checkerboard


def test_factored_out_channels_are_the_odd_diagonal():
    # Of two scales, the second never sees the pixels whose row + column is odd, as they have their latents already.
    flow = small_flow(num_scales=2, batch_norm=False)
    before = flow.inverse(pixels(1, 4, 4, 1)).numpy()
    for v in flow.variables:
        if "/level_1/" in v.name:
            v.assign(v + 0.5)
    changed = flow.inverse(pixels(1, 4, 4, 1)).numpy() != before
    np.testing.assert_array_equal(changed[0], Checkerboard(0)((4, 4, 1)))
