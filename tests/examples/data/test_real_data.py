"""The loaders read the real data, and what stands in for them, where these are at hand."""

import importlib

import numpy as np
import pytest
import tensorflow as tf

from examples import data
from tests.examples.data.prepared import LOADERS, TFDS
from tests.examples.data.test_preprocessing import assert_whole_numbers, crop_of_celeb_a, half_even, reduced

tfds = pytest.importorskip("tensorflow_datasets")

COUNTS = {
    "cifar10": (48_000, 2_000, 10_000),
    "celeb_a": (2048, 256, 256),
    "downsampled_imagenet/32x32": (1900, 100, 500),
    "downsampled_imagenet/64x64": (1900, 100, 500),
    "lsun/bedroom": None,
    "lsun/church_outdoor": (8, 1, None),
    "lsun/tower": None,
}


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    monkeypatch.setattr("socket.socket.connect", lambda *args: pytest.fail("uses the network"))


@pytest.fixture(scope="module")
def load():
    """From the name of a data set to its images, read once."""
    loaded = {}

    def load_once(key):
        if not (TFDS / key).is_dir():
            pytest.skip(f"no {key} in {TFDS}")
        if key not in loaded:
            loaded[key] = LOADERS[key](TFDS)
        return loaded[key]

    return load_once


def stored(key, split):
    return tfds.as_numpy(tfds.load(key, split=split, data_dir=TFDS, download=False))


@pytest.mark.parametrize("key", COUNTS)
def test_counts_and_shapes(key, load):
    images = load(key)
    counts = [len(getattr(images, split)) for split in ("train", "validation", "test")]
    for found, expected in zip(counts, COUNTS[key] or counts, strict=True):
        assert found == expected or expected is None
    side = 32 if key in ("cifar10", "downsampled_imagenet/32x32") else 64
    assert images.image_shape == (side, side, 3)
    assert images.levels == 256
    assert images.genuine == (key == "cifar10")
    assert ("PART OR STAND-IN" in images.name) == (key != "cifar10")
    size = min(8, len(images.train))
    batch = next(iter(data.train_batches(images.train, size, seed=0, flip=True))).numpy()
    assert batch.shape == (size, side, side, 3)
    assert batch.std() > 20


def test_cifar10(load):
    images = load("cifar10")
    assert images.name == "cifar10 3.0.2 (TFDS)"
    assert images.splits == {"train": "train[:48000]", "validation": "train[48000:]", "test": "test"}
    for name, split in (("train", "train[:20]"), ("validation", "train[48000:48020]"), ("test", "test[:20]")):
        expected = [record["image"] for record in stored("cifar10", split)]
        np.testing.assert_array_equal(getattr(images, name).pixels[:20], expected)


def test_cifar10_splits_are_stable(load):
    """Pixel sums, so that a new version of a package can't exchange images between splits unseen."""
    images = load("cifar10")
    sums = [int(getattr(images, split).pixels[0].sum()) for split in ("train", "validation", "test")]
    assert sums == [447224, 386572, 434684]


def test_celeb_a(load):
    """Pixels as NumPy makes them of TFDS's pictures; and attributes."""
    load("celeb_a")
    images = data.celeb_a(TFDS, conditional=True)
    rows = list(stored("celeb_a", "test[:100]"))
    exact = np.stack([crop_of_celeb_a(row["image"], 64) for row in rows])
    assert_whole_numbers(images.test.pixels[:100], exact, half_even, close=1e-4)
    expected = [[row["attributes"][name] for name in images.conditioning_names] for row in rows]
    np.testing.assert_array_equal(images.test.conditioning[:100], np.array(expected, np.float32))
    # That these are true attributes shows where pictures and files agree: blond hair is brighter than black hair.
    train, names = images.train, images.conditioning_names
    hair = train.pixels[:, :8].mean((1, 2, 3))
    blond, black = (hair[train.conditioning[:, names.index(f"{colour}_Hair")] == 1] for colour in ("Blond", "Black"))
    assert blond.mean() > black.mean() + 10


def test_unrounded_celeb_a(load):
    load("celeb_a")
    images = data.celeb_a(TFDS, rounded=False)
    exact = np.stack([crop_of_celeb_a(row["image"], 64) for row in stored("celeb_a", "validation[:50]")])
    found = next(iter(data.eval_batches(images.validation, 50))).numpy()
    assert ((exact - 1e-3 <= found) & (found <= exact + 1 + 1e-3)).all()
    assert found.max() < 256


@pytest.mark.parametrize("key", ["lsun/bedroom", "lsun/church_outdoor", "lsun/tower"])
def test_lsun(key, load):
    """Every crop is a part of the picture as SciPy reduces it."""
    found = next(iter(data.eval_batches(load(key).test, 5))).numpy()
    for crop, row in zip(found, stored(key, "validation[:5]"), strict=True):
        exact = reduced(row["image"], 96) + 1e-3
        places = np.lib.stride_tricks.sliding_window_view(exact, (64, 64, 3))[:, :, 0]
        fits = [
            place
            for place in np.ndindex(places.shape[:2])
            if (np.abs(places[place][::16, ::16] - crop[::16, ::16] - 0.5) < 0.51).all()
        ]
        assert len(fits) >= 1
        assert any((np.abs(places[place] - crop - 0.5) < 0.505).all() for place in fits)


def test_streamed_celeb_a_is_the_same(load, monkeypatch):
    held = load("celeb_a")
    monkeypatch.setattr(importlib.import_module("examples.data.tfds_reader"), "_IN_MEMORY", 0)
    streamed = data.celeb_a(TFDS)
    assert isinstance(streamed.test, data.RecordImages)
    np.testing.assert_array_equal(next(iter(data.eval_batches(streamed.test, 99))), held.test.pixels[:99])
    whole, rest = (data.train_batches(streamed.train, 64, seed=0, start_step=start, flip=True) for start in (30, 33))
    for expected, found in zip(whole.skip(3).take(2), rest.take(2), strict=True):
        tf.debugging.assert_equal(found, expected)
