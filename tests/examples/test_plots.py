"""Sheets place, enlarge and shade images as they should, and PNG files are written whole or not at all."""

import numpy as np
import pytest
import tensorflow as tf

from examples import plots


def grey(count, side=8, value=0):
    return np.full((count, side, side, 1), value, np.uint8)


def test_sheet_places_every_image():
    images = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((5, 2, 3, 3), np.uint8)
    sheet = plots.image_sheet(images, min_side=1)
    assert sheet.dtype == np.uint8
    assert sheet.shape == (2 + 2 + 2, 3 + 2 + 3 + 2 + 3, 3)
    for i in range(5):
        top, left = 4 * (i // 3), 5 * (i % 3)
        np.testing.assert_array_equal(sheet[top : top + 2, left : left + 3], images[i])
    gaps = np.ones((6, 13), bool)
    for i in range(5):
        gaps[4 * (i // 3) : 4 * (i // 3) + 2, 5 * (i % 3) : 5 * (i % 3) + 3] = False
    np.testing.assert_array_equal(sheet[gaps], 128)


def test_sheet_columns():
    assert plots.image_sheet(grey(5), columns=5, min_side=1).shape == (8, 5 * 10 - 2, 3)
    assert plots.image_sheet(grey(5), columns=1, min_side=1).shape == (5 * 10 - 2, 8, 3)


@pytest.mark.parametrize(("side", "factor"), [(8, 8), (28, 3), (32, 2), (64, 1), (96, 1)])
def test_sheet_enlarges_small_images(side, factor):
    image = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
    sheet = plots.image_sheet(image)
    np.testing.assert_array_equal(sheet, np.kron(image[0], np.ones((factor, factor, 1), np.uint8)))


@pytest.mark.parametrize("levels", [2, 17, 256, 1000])
def test_sheet_levels(levels):
    values = np.arange(levels, dtype=np.uint16).reshape(1, 1, levels, 1)
    sheet = plots.image_sheet(values, min_side=1, levels=levels)
    expected = np.floor(values[0] / (levels - 1) * 255 + 0.5)
    np.testing.assert_array_equal(sheet, np.broadcast_to(expected, sheet.shape))


def test_side_by_side():
    both = plots.side_by_side(np.zeros((4, 5, 3), np.uint8), np.full((6, 2, 3), 255, np.uint8), gap=3)
    assert both.shape == (6, 10, 3)
    np.testing.assert_array_equal(both[:4, :5], 0)
    np.testing.assert_array_equal(both[:, 8:], 255)
    np.testing.assert_array_equal(both[:, 5:8], 128)
    np.testing.assert_array_equal(both[4:, :5], 128)


def test_write_png_round_trip(tmp_path):
    array = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    path = tmp_path / "not" / "there" / "sheet.png"
    plots.write_png(path, np.zeros_like(array))
    plots.write_png(str(path), array)
    np.testing.assert_array_equal(tf.io.decode_png(path.read_bytes()), array)
    assert [p.name for p in path.parent.iterdir()] == ["sheet.png"]


def test_write_png_failure_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "sheet.png"
    path.write_bytes(b"old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(plots.os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        plots.write_png(path, np.zeros((2, 2, 3), np.uint8))
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["sheet.png"]


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        (np.zeros((8, 8, 3), np.uint8), {}, r"`images` has shape \(8, 8, 3\): must be \[N, H, W, C\]"),
        (np.zeros((0, 8, 8, 3), np.uint8), {}, "N at least 1"),
        (np.zeros((1, 8, 8, 2), np.uint8), {}, "C 1 or 3"),
        (np.zeros((1, 8, 8, 3), np.float32), {}, "`images` is float32: must be whole numbers; use `tfp_realnvp.quan"),
        (grey(1, value=17), {"levels": 17}, r"`images` holds 17 to 17: must lie in \[0, `levels`=17\)"),
        (np.full((1, 8, 8, 1), -1, np.int32), {}, "`images` holds -1 to -1"),
        (grey(1), {"levels": 1}, "`levels`=1: must be an int of at least 2"),
        (grey(1), {"columns": 0}, "`columns`=0: must be an int of at least 1"),
        (grey(1), {"min_side": 2.5}, "`min_side`=2.5: must be an int of at least 1"),
    ],
)
def test_sheet_errors(images, options, message):
    with pytest.raises(ValueError, match=message):
        plots.image_sheet(images, **options)


def test_write_and_side_by_side_errors(tmp_path):
    good = np.zeros((2, 2, 3), np.uint8)
    with pytest.raises(ValueError, match=r"sheet.jpg': must end in .png"):
        plots.write_png(tmp_path / "sheet.jpg", good)
    with pytest.raises(ValueError, match=r"`array` is float64 \(2, 2, 3\): must be a uint8 array \[H, W, 3\]"):
        plots.write_png(tmp_path / "sheet.png", good / 1.0)
    with pytest.raises(ValueError, match=r"`right` is uint8 \(2, 2\)"):
        plots.side_by_side(good, good[..., 0])
    with pytest.raises(ValueError, match="`left` is list"):
        plots.side_by_side([], good)
    assert not list(tmp_path.iterdir())
