"""Digits and photo patches need no files, and `ImageData` refuses parts that do not fit together."""

import importlib
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from examples import data
from tests.examples.data.prepared import numbered

# These tests are of `ImageData`.


def image_data(**changes):
    splits = ("train", "validation", "test")
    images = {split: data.ArrayImages(numbered(4)) for split in splits}
    return data.ImageData(
        **{"key": "x", "name": "x", **images, "levels": 4, "splits": dict.fromkeys(splits, "all"), **changes}
    )


def test_image_data():
    images = image_data()
    assert images.image_shape == (2, 3, 3)
    assert "4 images of (2, 3, 3)" in repr(images)
    assert len(repr(images)) < 400
    vectors = data.ArrayImages(numbered(4), np.zeros((4, 2), np.float32))
    assert image_data(train=vectors, validation=vectors, test=vectors, conditioning_names=("a", "b")).train is vectors


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"levels": 1}, r"`levels`=1: must be an int in \[2, 256\]"),
        ({"levels": 3}, "`train` holds 3: must be below `levels`=3"),
        ({"splits": {"train": "all"}}, "`splits`={'train': 'all'}: must say in words what each of"),
        (
            {"test": data.ArrayImages(numbered(4, width=2))},
            r"`test` holds images of shape \(2, 2, 3\), `train` \(2, 3, 3\): resize",
        ),
        (
            {"validation": data.ArrayImages(numbered(4), np.zeros((4, 2), np.float32))},
            "`validation` comes with 2 numbers an image: must be as many as `conditioning_names`, 0",
        ),
        ({"conditioning_names": ("a",)}, "`train` comes with 0 numbers an image: must be as many as .*, 1"),
    ],
)
def test_image_data_errors(changes, message):
    with pytest.raises(ValueError, match=message):
        image_data(**changes)


# These tests are of loaders that need no files.


def test_importing_needs_no_loader_package():
    missing = ("PIL", "sklearn", "tensorflow_datasets", "tqdm")
    code = f"import sys; sys.modules.update(dict.fromkeys({missing})); import examples.data"
    subprocess.run([sys.executable, "-c", code], cwd=pathlib.Path(data.__file__).parents[2], check=True)


@pytest.mark.parametrize("loader", ["digits", "photo_patches", "cifar10", "folder"])
def test_missing_package(loader, monkeypatch, tmp_path):
    def fail(module):
        raise ImportError(module)

    for number in (0, 1, 6):  # These names fill every split.
        (tmp_path / f"{number}.png").touch()
    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(ImportError, match=r"is needed for these data: pip install \"tfp_realnvp\[examples\]\""):
        getattr(data, loader)(*([tmp_path, 8] if loader == "folder" else []))


def test_digits():
    datasets = pytest.importorskip("sklearn.datasets")
    images = data.digits()
    assert (len(images.train), len(images.validation), len(images.test)) == (1397, 200, 200)
    assert images.image_shape == (8, 8, 1)
    assert images.levels == 17
    assert images.train.pixels.max() == 16
    together = np.concatenate([s.pixels for s in (images.train, images.validation, images.test)]).reshape(1797, 64)
    original = datasets.load_digits().data.astype(np.uint8)
    np.testing.assert_array_equal(together[np.lexsort(together.T)], original[np.lexsort(original.T)])
    np.testing.assert_array_equal(images.test.pixels, data.digits().test.pixels)
    assert images.name.startswith("digits (scikit-learn ")


def test_digits_with_their_classes():
    datasets = pytest.importorskip("sklearn.datasets")
    plain, images = data.digits(), data.digits(conditional=True)
    assert images.conditioning_names == tuple("0123456789")
    bunch = datasets.load_digits()
    classes = {image.astype(np.uint8).tobytes(): target for image, target in zip(bunch.data, bunch.target, strict=True)}
    for split in ("train", "validation", "test"):
        found = getattr(images, split)
        np.testing.assert_array_equal(found.pixels, getattr(plain, split).pixels)
        assert getattr(plain, split).conditioning_size == 0
        expected = np.eye(10)[[classes[image.tobytes()] for image in found.pixels]]
        np.testing.assert_array_equal(found.conditioning, expected)


@pytest.mark.parametrize(
    "load",
    [
        lambda: data.photo_patches(conditional=True),
        lambda: data.imagenet(32, "nowhere", conditional=True),
        lambda: data.lsun("tower", "nowhere", conditional=True),
    ],
    ids=["photo_patches", "imagenet", "lsun"],
)
def test_nothing_to_condition_on(load):
    with pytest.raises(ValueError, match=r"`conditional`=True: .* has neither classes nor attributes; leave it out\."):
        load()


def test_photo_patches_are_crops_of_the_photographs():
    datasets = pytest.importorskip("sklearn.datasets")
    images = data.photo_patches()
    assert (len(images.train), len(images.validation), len(images.test)) == (21186, 1782, 1782)
    assert images.image_shape == (32, 32, 3)
    np.testing.assert_array_equal(images.test.pixels, data.photo_patches().test.pixels)
    photos = {datasets.load_sample_image(name).tobytes() for name in ("china.jpg", "flower.jpg")}
    rows = {crop[0].tobytes() for crop in images.test.pixels[:20]}
    assert all(any(row in photo for photo in photos) for row in rows)


@pytest.mark.parametrize("options", [{"stride": 16}, {"size": 16, "stride": 5}, {"size": 64, "stride": 32}])
def test_photo_patches_share_no_pixel(options, monkeypatch):
    """On photographs whose pixels spell out where they are, the splits have no pixel in common."""
    datasets = pytest.importorskip("sklearn.datasets")
    places = np.arange(2 * 427 * 640).reshape(2, 427, 640)
    photos = np.stack([places >> 16, places >> 8 & 255, places & 255], -1).astype(np.uint8)
    monkeypatch.setattr(datasets, "load_sample_image", lambda name: photos[["china", "flower"].index(name[:-4])])
    images = data.photo_patches(**options)
    seen = {}
    for split in ("train", "validation", "test"):
        crops = getattr(images, split).pixels.astype(int)
        decoded = (crops[..., 0] << 16) + (crops[..., 1] << 8) + crops[..., 2]
        side = crops.shape[1]
        # Every crop is one piece of one photograph.
        offsets = np.arange(side)[:, None] * 640 + np.arange(side)
        np.testing.assert_array_equal(decoded - decoded[:, :1, :1], np.broadcast_to(offsets, decoded.shape))
        assert len(np.unique(decoded[:, 0, 0])) == len(decoded)  # no crop twice
        seen[split] = np.unique(decoded)
        assert set(seen[split] // (427 * 640)) == {0, 1}
    assert len(np.unique(np.concatenate(list(seen.values())))) == sum(map(len, seen.values()))
    assert len(seen["train"]) > 0.7 * places.size


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 65}, "`size`=65: must be at most 64, the width of the strips"),
        ({"size": 0}, "`size`=0: must be an int of at least 1, the side of a crop in pixels"),
        ({"stride": 0}, "`stride`=0: must be an int of at least 1, the pixels from one crop to the next"),
    ],
)
def test_photo_patches_errors(options, message):
    with pytest.raises(ValueError, match=message):
        data.photo_patches(**options)
