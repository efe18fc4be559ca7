"""Writes files as the loaders find them: TFRecords, and small data sets of tensorflow_datasets under real names."""

import contextlib
import importlib
import logging
import pathlib

import numpy as np
import tensorflow as tf

from examples import data

# The data sets that TFDS has prepared, where they are at hand.
TFDS = pathlib.Path(__file__).resolve().parents[4] / "shared" / "data" / "tfds"

KEYS = (
    *("cifar10", "cifar100", "mnist", "celeb_a"),
    *("downsampled_imagenet/32x32", "downsampled_imagenet/64x64"),
    *("lsun/bedroom", "lsun/church_outdoor", "lsun/tower"),
)
LOADERS = {
    "cifar10": data.cifar10,
    "cifar100": data.cifar100,
    "mnist": data.mnist,
    "celeb_a": data.celeb_a,
    **{
        f"downsampled_imagenet/{n}x{n}": lambda *args, n=n, **options: data.imagenet(n, *args, **options)
        for n in (32, 64)
    },
    **{
        f"lsun/{name}": lambda *args, name=name, **options: data.lsun(name, *args, **options)
        for name in ("bedroom", "church_outdoor", "tower")
    },
}
SHAPES = {"cifar10": (32, 32, 3), "cifar100": (32, 32, 3), "mnist": (28, 28, 1), "celeb_a": (218, 178, 3)}


def numbered(count, height=2, width=3):
    """Images that carry their number, up to 2**16, and differ from their mirror image."""
    images = np.zeros((count, height, width, 3), np.uint8)
    images[..., 0] = (np.arange(count) % 256)[:, None, None]
    images[..., 1] = (np.arange(count) // 256)[:, None, None]
    images[..., 2] = np.arange(width)
    return images


def numbers(images):
    """The numbers of `numbered` images."""
    return images[..., 0, 0, 0].astype(int) + 256 * images[..., 0, 0, 1].astype(int)


def record_images(directory, pixels, conditioning=None, *, num_files=3, crop=None):
    """`RecordImages` of uint8 `pixels` in files of `directory`; `crop` is the side of a random crop."""
    files = []
    for i, rows in enumerate(np.array_split(np.arange(len(pixels)), min(num_files, len(pixels)))):
        path = str(directory / f"{len(list(directory.iterdir()))}_{i}.tfrecord")
        with tf.io.TFRecordWriter(path) as writer:
            for row in rows:
                vector = b"" if conditioning is None else conditioning[row].tobytes()
                writer.write(pixels[row].tobytes() + vector)
        files.append((path, 0, len(rows)))
    return data.RecordImages(
        files,
        lambda record, seed: _decode(record, seed, pixels.shape[1:], crop, conditioning is not None),
        shape=(crop, crop, pixels.shape[3]) if crop else pixels.shape[1:],
        conditioning_size=0 if conditioning is None else conditioning.shape[1],
    )


def _decode(record, seed, shape, crop, conditional):
    size = int(np.prod(shape))
    image = tf.reshape(tf.io.decode_raw(tf.strings.substr(record, 0, size), tf.uint8), shape)
    if crop:
        image = tf.image.stateless_random_crop(image, [crop, crop, shape[2]], seed)
    return image, tf.io.decode_raw(tf.strings.substr(record, size, -1), tf.float32) if conditional else None


def examples(key, count, seed=0):
    """Noise, as examples of the data set `key` of TFDS."""
    draw = np.random.default_rng([seed, count])
    tfds = importlib.import_module("tensorflow_datasets")
    features = tfds.builder_cls(key)().info.features if key == "celeb_a" else None
    for i in range(count):
        if key.startswith("lsun"):
            shape = [(100 + i, 120, 3), (130, 97 + i, 3), (70, 80, 3)][i % 3]
        elif key.startswith("downsampled"):
            shape = (int(key[-2:]), int(key[-2:]), 3)
        else:
            shape = SHAPES[key]
        row = {"image": draw.integers(0, 256, shape, np.uint8)}
        if key in ("cifar10", "cifar100", "mnist"):
            row["label"] = int(draw.integers(100 if key == "cifar100" else 10))
        if key == "cifar100":
            row["coarse_label"] = row["label"] // 5
        if key.startswith(("lsun", "cifar")):
            row["id"] = str(i)
        if key == "celeb_a":
            row["attributes"] = {name: bool(draw.integers(2)) for name in features["attributes"]}
            row["landmarks"] = dict.fromkeys(features["landmarks"], -1)
            row["identity"] = {"Identity_No": i}
        yield row


def write_tfds(key, data_dir, splits, *, num_shards=1, features=None):
    """Prepares the data set `key` of TFDS from {split: list of examples}; returns its folder.

    `features` are other features than the data set has.
    """
    tfds = importlib.import_module("tensorflow_datasets")
    tfds.disable_progress_bar()
    builder = tfds.builder(key, data_dir=data_dir)
    if features is not None:
        builder.info._features = features
    builder._split_generators = lambda dl_manager: {split: iter(enumerate(rows)) for split, rows in splits.items()}
    with _silent():
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(try_download_gcs=False, num_shards=num_shards)
        )
    return builder.data_path


@contextlib.contextmanager
def _silent():
    """TFDS announces itself on the terminal."""
    with contextlib.redirect_stdout(None):
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)
