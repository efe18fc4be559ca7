"""Equal to the authors' program, by numbers that were recorded from it."""

import pathlib

import numpy as np
import pytest

from tests import authors_parity

GOLDEN = pathlib.Path(__file__).parents[2] / "shared/golden/authors_16x16_scales3_width8_blocks2.npz"

pytestmark = pytest.mark.skipif(not GOLDEN.is_file(), reason="the authors' recorded numbers are not on this machine")


def test_equal_to_the_authors_program():
    assert authors_parity.compare(GOLDEN) == []


def test_a_wrong_variable_is_noticed(tmp_path):
    with np.load(GOLDEN) as file:
        recorded = dict(file)
    name = "variable/scale_2/coupling_3/resnet/out/biases"  # The last network: the smallest effect.
    recorded[name] = recorded[name] + 0.01
    np.savez(tmp_path / "wrong.npz", **recorded)
    failed = authors_parity.compare(tmp_path / "wrong.npz")
    assert {"eval_z", "decode_y", "train_z"} <= set(failed)
    assert "y" not in failed  # The pixels' logits, before any network.
