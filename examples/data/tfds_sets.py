"""Loaders of the paper's data sets and of two more, as the paper and its released program read them (section 4.1)."""

import dataclasses
import functools

from examples.data import preprocessing
from examples.data.image_data import check_int
from examples.data.tfds_reader import DataSet, load


def cifar10(data_dir=None, conditional=False):
    """Returns CIFAR-10, 32x32x3: 48,000 images to train, 2,000 to validate, 10,000 to test. See `load`."""
    return load(_labelled_set("cifar10", (32, 32, 3), 50_000), data_dir, conditional)


def cifar100(data_dir=None, conditional=False):
    """Returns CIFAR-100, 32x32x3: 48,000 images to train, 2,000 to validate, 10,000 to test. See `load`."""
    return load(_labelled_set("cifar100", (32, 32, 3), 50_000), data_dir, conditional)


def mnist(data_dir=None, conditional=False):
    """Returns MNIST, padded to 32x32x1: 58,000 images to train, 2,000 to validate, 10,000 to test. See `load`."""
    words = "28x28 padded to 32x32 with black"
    data_set = _labelled_set("mnist", (28, 28, 1), 60_000)
    data_set = dataclasses.replace(data_set, shape=(32, 32, 1), prepare=preprocessing.pad_to_32, preprocessing=words)
    return load(data_set, data_dir, conditional)


def imagenet(size, data_dir=None, conditional=False):
    """Returns the downsampled ImageNet, size x size x 3, size 32 or 64; tested on its validation set. See `load`."""
    if size not in (32, 64):
        raise ValueError(f"`size`={size!r}: must be 32 or 64, the sizes that the set was published in.")
    shape = (size, size, 3)
    counts = {"train": 1_281_149, "validation": 49_999}
    return load(DataSet(f"downsampled_imagenet/{size}x{size}", shape, shape, counts), data_dir, conditional)


def lsun(category, data_dir=None, conditional=False):
    """Returns LSUN "bedroom", "tower" or "church_outdoor": random crops of 64x64x3. See `load`.

    The official validation set of 300 pictures is for testing; its crops are always the same.
    """
    train = {"bedroom": 3_033_042, "tower": 708_264, "church_outdoor": 126_227}
    if category not in train:
        raise ValueError(f"`category`={category!r}: must be one of {', '.join(train)}.")
    data_set = DataSet(
        f"lsun/{category}",
        (None, None, 3),
        (64, 64, 3),
        {"train": train[category], "validation": 300},
        prepare=preprocessing.lsun,
        preprocessing="short side to 96 (Gaussian, then linear), random 64x64 crop",
        random=True,
    )
    return load(data_set, data_dir, conditional)


def celeb_a(data_dir=None, size=64, rounded=True, conditional=False):
    """Returns CelebA with its official splits: rows 40 to 187, columns 15 to 162, resized to size x size x 3.

    Args:
      data_dir, conditional: see `load`; the conditioning is the 40 attributes, each 0 or 1.
      size: int, side of an image in pixels.
      rounded: bool; round pixels to 8 bits. False adds the noise to fractions, as the released program does, so that
        the bits/dim of these images is no bound for an 8-bit code.
    """
    check_int("size", size, 1, "the side of an image in pixels")
    crop = functools.partial(preprocessing.celeb_a, size=size)
    resized = f"rows 40:188, columns 15:163, bilinear to {size}x{size}"
    data_set = DataSet(
        "celeb_a",
        (218, 178, 3),
        (size, size, 3),
        {"train": 162_770, "validation": 19_867, "test": 19_962},
        prepare=(
            (lambda image, seed: preprocessing.rounded(crop(image)))
            if rounded
            else (lambda image, seed: preprocessing.with_noise(crop(image), seed))
        ),
        preprocessing=f"{resized}, rounded to 8 bits" if rounded else f"{resized}, not rounded; noise added",
        random=not rounded,
        whole=rounded,
        condition="attributes",
    )
    return load(data_set, data_dir, conditional)


def _labelled_set(key, shape, train):
    return DataSet(key, shape, shape, {"train": train, "test": 10_000}, condition="label")
