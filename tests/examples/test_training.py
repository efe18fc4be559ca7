"""A training is split into stretches of steps that end where it is saved and evaluated."""

import pytest

from examples.training import segments


@pytest.mark.parametrize(
    ("step", "steps", "interval", "expected"),
    [
        (0, 8, 4, [(0, 4, 2)]),
        (0, 10, 4, [(0, 4, 2), (8, 2, 1)]),
        (3, 12, 4, [(3, 1, 1), (4, 4, 2)]),
        (3, 10, 4, [(3, 1, 1), (4, 4, 1), (8, 2, 1)]),
        (5, 7, 4, [(5, 2, 1)]),
        (0, 3, 4, [(0, 3, 1)]),
        (8, 8, 4, []),
        (9, 8, 4, []),
        (0, 2, 1, [(0, 1, 2)]),
    ],
)
def test_segments(step, steps, interval, expected):
    assert list(segments(step, steps, interval)) == expected


def test_segments_end_at_the_same_steps_wherever_they_begin():
    def ends(step):
        parts = segments(step, 50, 7)
        return [begin + length * (i + 1) for begin, length, count in parts for i in range(count)]

    assert ends(0) == [7, 14, 21, 28, 35, 42, 49, 50]
    for step in range(50):
        assert ends(step) == [end for end in ends(0) if end > step]
