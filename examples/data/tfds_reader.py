"""Reads a data set of tensorflow_datasets into an `ImageData`."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Mapping

import tensorflow as tf

from examples.data import by_hand, preprocessing
from examples.data.image_data import ImageData, import_extra, refuse_conditional
from examples.data.record_images import RecordImages

_IN_MEMORY = 2**29  # bytes of pixels; larger splits are read from their files in every epoch
_OLD_IMAGENET = "the old set (van den Oord et al. 2016)"
_NEW_IMAGENET = "NOT the paper's: the anti-aliased set (Chrabaszcz et al. 2017)"


@dataclasses.dataclass(frozen=True)
class DataSet:
    """A data set of TFDS.

    Attributes:
      key: its name in TFDS.
      stored: (H, W, C) of the stored pictures; None for an axis that varies.
      shape: (H, W, C) of the images that `prepare` returns.
      counts: number of images in each official split of the complete data set.
      prepare: function from a picture [H, W, C] and a seed [2] to an image of `shape`.
      preprocessing: what `prepare` does, in words.
      random: whether `prepare` uses its seed.
      whole: whether the pixels that `prepare` returns are whole numbers.
      condition: the feature to condition on: "label", "attributes", or None.
    """

    key: str
    stored: tuple[int | None, int | None, int]
    shape: tuple[int, int, int]
    counts: Mapping[str, int]
    prepare: Callable = preprocessing.unchanged
    preprocessing: str = "none"
    random: bool = False
    whole: bool = True
    condition: str | None = None


def load(data_set, data_dir, conditional):
    """Returns the `ImageData` of a `DataSet`; prepares or downloads the data if `data_dir` does not hold them.

    A data set that lacks an official validation or test set is tested on the one that it has, and the last 2,000
    training images, or 5 % of them if that is fewer, are for validation. Splits whose pixels take at most 512 MiB are
    held in memory, unless `prepare` is random.

    Args:
      data_set: `DataSet`.
      data_dir: str or path of an existing directory, the `data_dir` of tensorflow_datasets; None for its default,
        ~/tensorflow_datasets.
      conditional: bool; each image comes with its class, one-hot, or with its attributes, each 0 or 1.

    Raises:
      FileNotFoundError: if there is no directory `data_dir`, because a typing error should not start a download.
      ImportError: if tensorflow_datasets is missing.
      RuntimeError: if the data can't be downloaded.
      ValueError: if the data set in `data_dir` is unfinished or damaged, its pictures have another size than its name
        promises, or there is nothing to condition on.
    """
    if data_set.condition is None:
        refuse_conditional(conditional, data_set.key)
    tfds = import_extra("tensorflow_datasets")
    if not hasattr(tfds, "builder"):  # Its import only logs what went wrong.
        raise ImportError(
            "`tensorflow_datasets` is installed but can't be used, often because the versions of protobuf and "
            'tensorflow-metadata do not match; `python -c "import tensorflow_datasets"` says why.'
        )
    if data_dir is not None and not tf.io.gfile.isdir(data_dir):
        raise FileNotFoundError(
            f"`data_dir`={str(data_dir)!r}: no such directory; create it to download {data_set.key} into it, or name "
            f"the one that holds {data_set.key.split('/')[0]}/."
        )
    builder = _builder(tfds, data_set.key, data_dir)
    counts = {
        split: builder.info.splits[split].num_examples for split in data_set.counts if split in builder.info.splits
    }
    if counts.keys() != data_set.counts.keys():
        raise _damaged(builder.data_path, f"it has the splits {sorted(counts)}, not {sorted(data_set.counts)}")
    if counts["train"] < 2:
        raise _damaged(builder.data_path, f"{counts['train']} train images: must be at least 2")
    splits = _splits(counts)
    names = _conditioning_names(builder, data_set) if conditional else ()
    record_images = {name: _open(builder, data_set, split, names) for name, split in splits.items()}
    return ImageData(
        key=data_set.key,
        name=f"{data_set.key} {builder.version} (TFDS){_remark(data_set, counts)}",
        **{name: _in_memory(builder, data_set, images, name) for name, images in record_images.items()},
        levels=256,
        splits=splits,
        preprocessing=data_set.preprocessing,
        genuine=_is_genuine(data_set, counts),
        whole=data_set.whole,
        conditioning_names=names,
    )


def _splits(counts):
    """Returns which images of TFDS each of our three splits takes, e.g. "train[:48000]"."""
    if "test" in counts and "validation" in counts:
        return {name: name for name in ("train", "validation", "test")}
    kept = counts["train"] - max(1, min(2000, counts["train"] // 20))
    test = "test" if "test" in counts else "validation"
    return {"train": f"train[:{kept}]", "validation": f"train[{kept}:]", "test": test}


def _is_genuine(data_set, counts):
    imagenet = data_set.key.startswith("downsampled_imagenet")
    # Some packagings of the old validation set have one image more.
    return counts == data_set.counts or (imagenet and counts == {**data_set.counts, "validation": 50_000})


def _remark(data_set, counts):
    imagenet = data_set.key.startswith("downsampled_imagenet")
    if _is_genuine(data_set, counts):
        return f": {_OLD_IMAGENET}" if imagenet else ""
    if imagenet and counts == {"train": 1_281_167, "validation": 50_000}:
        return f": {_NEW_IMAGENET}"
    other = {s: n for s, n in data_set.counts.items() if counts[s] != n}
    found = ", ".join(f"{counts[s]:,} {s} images instead of {n:,}" for s, n in other.items())
    return f": PART OR STAND-IN, {found}"


def _builder(tfds, key, data_dir):
    """Returns a builder whose data are on the disk; prepares or downloads them first if need be."""
    try:
        builder = tfds.builder(key, data_dir=data_dir)
    except Exception as error:  # A damaged dataset_info.json leads to nearly any error.
        raise _damaged(pathlib.Path(data_dir or "~/tensorflow_datasets") / key, error) from error
    if builder.is_prepared():
        return builder
    target = builder.data_path
    for leftover in [target] * target.exists() + list(target.parent.glob(f"incomplete.*_{target.name}")):
        raise _damaged(leftover, "not written to its end; unless another program is at it")
    if key in by_hand.FILES:  # TFDS can't get these any more.
        by_hand.prepare(key, data_dir)
        return tfds.builder(key, data_dir=data_dir)
    try:
        builder.download_and_prepare()
    except Exception as error:  # Errors of network, disk and checksums all end here.
        raise RuntimeError(
            f"`data_dir`={str(data_dir)!r}: no {key} in {target}, and the download failed ({type(error).__name__}: "
            f"{error}). Connect to the network, or copy a folder that tensorflow_datasets has prepared to that place."
        ) from error
    return builder


def _conditioning_names(builder, data_set):
    features = builder.info.features
    if data_set.condition not in features:
        raise _damaged(builder.data_path, f"its pictures have no {data_set.condition!r} to condition on")
    feature = features[data_set.condition]
    return tuple(sorted(feature)) if data_set.condition == "attributes" else tuple(feature.names)


def _open(builder, data_set, split, names):
    """Returns the `RecordImages` of a split, after a check of its files and its first picture."""
    info = builder.info.splits[split]
    _check_files(builder, split.split("[")[0])
    features = builder.info.features

    def decode(record, seed):
        example = features.deserialize_example(record)
        conditioning = None
        if names and data_set.condition == "attributes":
            conditioning = tf.stack([tf.cast(example["attributes"][name], tf.float32) for name in names])
        elif names:
            conditioning = tf.one_hot(example[data_set.condition], len(names))
        return data_set.prepare(example["image"], seed), conditioning

    images = RecordImages(
        [(i.filename, i.skip, i.take) for i in info.file_instructions],
        decode,
        shape=data_set.shape,
        dtype=tf.uint8 if data_set.whole else tf.float32,
        conditioning_size=len(names),
    )
    first = _first_picture(builder, images, split)
    if not tf.TensorShape(data_set.stored).is_compatible_with(first.shape):
        raise ValueError(
            f"`data_dir`: split {split!r} of {data_set.key} in {str(builder.data_path)!r} begins with a picture of "
            f"shape {tuple(first.shape)}: must be {data_set.stored}; these are other data, name another --data_dir."
        )
    return images


def _check_files(builder, split):
    """Raises ValueError unless the files of an official split are there and as long as TFDS wrote them."""
    info = builder.info.splits[split]
    if builder.info.file_format.value != "tfrecord":
        raise ValueError(
            f"`data_dir`: {builder.data_path} holds {builder.info.file_format.value} files: must be tfrecord, "
            "tensorflow_datasets' default format; prepare the data anew."
        )
    missing = [str(f) for f in info.filepaths if not tf.io.gfile.exists(str(f))]
    if missing:
        raise _damaged(builder.data_path, f"{len(missing)} files are missing, the first {missing[0]}")
    size = sum(tf.io.gfile.stat(str(f)).length for f in info.filepaths)
    written = info.num_bytes + 16 * info.num_examples  # A TFRecord adds 16 bytes of length and checksums.
    if size < written:
        raise _damaged(builder.data_path, f"split {split!r} has {size:,} bytes of {written:,}")


def _first_picture(builder, images, split):
    try:
        record = next(iter(images.in_order(0, 1)))
        return builder.info.features.deserialize_example(record)["image"]
    except Exception as error:  # The record is broken, or has other features.
        raise _damaged(builder.data_path, f"split {split!r} can't be read") from error


def _in_memory(builder, data_set, images, name):
    """Returns the images as `ArrayImages` if they are always the same and take little memory."""
    if data_set.random or len(images) * tf.TensorShape(data_set.shape).num_elements() > _IN_MEMORY:
        return images
    batch = 500
    bar = functools.partial(
        import_extra("tqdm").tqdm,
        desc=f"reading {data_set.key} {name}",
        total=-(-len(images) // batch),
        leave=False,
        disable=None if len(images) >= 20_000 else True,  # None shows it on a terminal only.
    )
    try:
        return images.in_memory(batch, bar)
    except Exception as error:  # A record is broken.
        raise _damaged(builder.data_path, f"split {name!r} can't be read") from error


def _damaged(where, reason):
    return ValueError(
        f"`data_dir`: the data set in {str(where)!r} is unfinished or damaged ({reason}): delete that folder and run "
        "again to prepare it anew, unless the reason is a fault of tensorflow_datasets itself."
    )
