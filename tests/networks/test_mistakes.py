"""Mistakes with coupling networks are refused, by messages as `tests/mistakes.py` asks for."""

import pytest

import tfp_realnvp as nvp
from tests.mistakes import assert_refused

MISTAKES = {
    "halves of one channel": (
        lambda _: nvp.CouplingNetwork(nvp.ChannelHalves(), 1, 2, 0),
        ValueError,
        "`channels`=1",
        "at least 2.*squeeze",
    ),
    "conditioning of length 0": (
        lambda _: nvp.ZeroNetwork(nvp.ChannelHalves(), 4, conditioning_size=0),
        ValueError,
        "`conditioning_size`=0",
        "at least 1",
    ),
    "network without a mask": (lambda _: nvp.CouplingNetwork(None, 1, 2, 0), TypeError, "`mask`=None", "Checkerboard"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_refused(name, tmp_path):
    assert_refused(name, MISTAKES[name], tmp_path)
