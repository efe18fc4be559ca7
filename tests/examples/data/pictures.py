"""Directories of pictures for tests."""

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image")

NAMES = ("0.png", "1.png", "6.png")  # These select validation, train and test, so that they fill every split.
SPLITS = ("train", "validation", "test")


def write_picture(path, size=(40, 30), seed=0, mode="RGB"):
    """Writes noise and returns it, uint8 [H, W, C]."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], len(mode)), np.uint8)
    Image.fromarray(pixels[..., 0] if mode == "L" else pixels).save(path)
    return pixels


def write_plain(path, number):
    """Writes a picture that `number_of_plain` knows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (2, 2), (number // 256, number % 256, 0)).save(path)


def number_of_plain(pixels):
    """Returns the number with which a picture was written, from its pixels [2, 2, 3]."""
    high, low, _ = pixels[0, 0].tolist()
    return 256 * high + low


def splits_of_plain(images):
    """Returns a dict from the number of each plain picture to the split in which it is."""
    found = [(number_of_plain(pixels), split) for split in SPLITS for pixels in getattr(images, split).pixels]
    assert len(dict(found)) == len(found), "a picture is there twice"
    return dict(found)


def all_pixels(images):
    """Returns the pixels of all splits, uint8 [N, H, W, C]."""
    return np.concatenate([getattr(images, split).pixels for split in SPLITS])
