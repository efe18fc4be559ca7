"""Data sets of tensorflow_datasets."""

import pathlib

import numpy as np
import tensorflow as tf

from examples.data.image_data import ImageData, import_extra


def cifar10(data_dir=None):
    """Returns CIFAR-10 through tensorflow_datasets: 32x32x3; 48,000 to train, 2,000 to validate, 10,000 to test.

    Downloads the data (170 MB) if `data_dir` has none of it.

    Args:
      data_dir: str or path of an existing directory, the `data_dir` of tensorflow_datasets; None for its default,
        ~/tensorflow_datasets.

    Raises:
      FileNotFoundError: if there is no directory `data_dir`; a slip of the pen should not start a download.
      ImportError: without tensorflow_datasets.
      RuntimeError: if the data can't be downloaded.
      ValueError: if the data set in `data_dir` is unfinished or damaged.
    """
    tfds = import_extra("tensorflow_datasets")
    if not hasattr(tfds, "builder"):  # It only logs what went wrong in its import.
        raise ImportError(
            "`tensorflow_datasets` is installed but can't be used, often since protobuf and tensorflow-metadata do "
            'not fit; `python -c "import tensorflow_datasets"` says why.'
        )
    if data_dir is not None and not tf.io.gfile.isdir(data_dir):
        raise FileNotFoundError(
            f"`data_dir`={str(data_dir)!r}: no such directory; create it to download CIFAR-10 into it, or name the one "
            "that holds cifar10/."
        )
    builder = _cifar10_builder(tfds, data_dir)
    train, test = _read_cifar10(tfds, builder, "train", 50_000), _read_cifar10(tfds, builder, "test", 10_000)
    return ImageData(
        name=f"cifar10 {builder.version} (TFDS)",
        train=train[:-2000],
        validation=train[-2000:],
        test=test,
        levels=256,
        splits={"train": "train[:48000]", "validation": "train[48000:]", "test": "test"},
    )


def _cifar10_builder(tfds, data_dir):
    """Returns a builder whose data lie on disk, downloaded now if need be."""
    try:
        builder = tfds.builder("cifar10", data_dir=data_dir)
    except Exception as error:  # whatever a damaged dataset_info.json leads to
        raise _damaged(pathlib.Path(data_dir or "~/tensorflow_datasets") / "cifar10", error) from error
    if builder.is_prepared():
        return builder
    target = builder.data_path
    for leftover in [target] * target.exists() + list(target.parent.glob(f"incomplete.*_{target.name}")):
        raise _damaged(leftover, "not written to its end; unless another program is at it")
    try:
        builder.download_and_prepare()
    except Exception as error:  # network, disk, checksums: all end here
        raise RuntimeError(
            f"`data_dir`={str(data_dir)!r}: no CIFAR-10 in {target}, and the download failed ({type(error).__name__}: "
            f"{error}). Connect to the network, or copy there a folder that tensorflow_datasets has prepared."
        ) from error
    return builder


def _read_cifar10(tfds, builder, split, count):
    """Returns the uint8 images [count, 32, 32, 3] of a split in the order of its files."""
    # One file at a time: the order is then that of the records, however many files there are.
    config = tfds.ReadConfig(interleave_cycle_length=1)
    try:
        batches = builder.as_dataset(split=split, batch_size=1000, shuffle_files=False, read_config=config)
        images = np.concatenate([batch["image"] for batch in batches.as_numpy_iterator()])
    except Exception as error:  # a missing file, a broken record, a split that dataset_info.json lacks
        raise _damaged(builder.data_path, f"split {split!r} can't be read") from error
    if len(images) != count:
        raise _damaged(builder.data_path, f"split {split!r} has {len(images)} images, not {count}")
    return images


def _damaged(where, reason):
    return ValueError(
        f"`data_dir`: its CIFAR-10 in {str(where)!r} is unfinished or damaged ({reason}): delete that folder and run "
        "again to download it, unless the reason is a fault of tensorflow_datasets itself."
    )
