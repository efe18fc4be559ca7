"""A machine that is slow in a narrow type is told so before a training."""

import pytest

from examples import precision


@pytest.mark.parametrize(
    ("seconds", "note"),
    [
        (
            11.0,
            "bfloat16 is 11 times slower than float32 on this hardware: stop, and train with --config.flow.",
        ),
        (1.2, ""),
        (0.5, ""),
    ],
)
def test_the_note_is_about_this_machine(seconds, note, monkeypatch):
    asked = {"float32": 1.0, "bfloat16": seconds}
    monkeypatch.setattr(precision, "_seconds", lambda dtype: asked[dtype])
    found = precision.note("bfloat16")
    assert found.startswith(note)
    assert bool(found) == bool(note)


def test_float32_is_not_measured(monkeypatch):
    monkeypatch.setattr(precision, "_seconds", None)
    assert precision.note(None) == ""


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_layer_takes_time(dtype):
    assert precision._seconds(dtype) > 0
