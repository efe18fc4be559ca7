"""Images for the training programs: one loader a data set, and batches that a step number determines.

Every loader returns an `ImageData`. Packages that only loaders need are imported by the loader that needs them.
"""

import concurrent.futures
import dataclasses
import hashlib
import importlib
import pathlib

import numpy as np
import tensorflow as tf

_SPLITS = ("train", "validation", "test")

# Columns of the photographs (640 wide) that are held out; a strip amid each picture resembles the rest of it.
_PHOTO_COLUMNS = {"train": ((0, 288), (352, 416), (480, 640)), "validation": ((288, 352),), "test": ((416, 480),)}

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
_HELD_OUT = 0.05  # share of a folder in each of validation and test

# The 4 rounds of `tf.random.experimental.index_shuffle` leave the orders of two epochs alike: correlation 0.7 for 48,000
# images, that of chance from 8 rounds on. It also (TF 2.21) pads a batch of seeds along the wrong axis. Hence the raw op.
_SHUFFLE_ROUNDS = 24
_ORDER, _FLIP = 1, 2  # keep the draws of one seed apart


@dataclasses.dataclass(frozen=True, eq=False)
class ImageData:
    """Images in three splits.

    Attributes:
      name: str, which data, with the version, e.g. "cifar10 3.0.2 (TFDS)".
      train, validation, test: uint8 arrays [N, H, W, C] of values in [0, levels); H, W and C are the same in all.
      levels: int in [2, 256], how many values a pixel can have.
      splits: dict, says of each of the three which images it is, e.g. {"train": "train[:48000]", ...}.

    Raises:
      ValueError: if one of these rules is broken.
    """

    name: str
    train: np.ndarray = dataclasses.field(repr=False)
    validation: np.ndarray = dataclasses.field(repr=False)
    test: np.ndarray = dataclasses.field(repr=False)
    levels: int
    splits: dict

    def __post_init__(self):
        if not isinstance(self.levels, int) or not 2 <= self.levels <= 256:
            raise ValueError(f"`levels`={self.levels!r}: must be an int in [2, 256], the number of values of a pixel.")
        if set(self.splits) != set(_SPLITS):
            raise ValueError(f"`splits`={self.splits!r}: must say in words what each of {_SPLITS} is, and no other.")
        for split in _SPLITS:
            images = getattr(self, split)
            _check_images(split, images)
            if images.shape[1:] != self.train.shape[1:]:
                shapes = f"{images.shape[1:]}, `train` {self.train.shape[1:]}"
                raise ValueError(f"`{split}` holds images of shape {shapes}: resize or crop them to one shape.")
            if images.max() >= self.levels:
                raise ValueError(f"`{split}` holds {images.max()}: must be below `levels`={self.levels}; raise it.")

    @property
    def image_shape(self):
        """(H, W, C)."""
        return self.train.shape[1:]


def digits():
    """Returns scikit-learn's 1,797 handwritten digits: 8x8x1, 17 levels; 1,397 to train, 200 and 200 held out."""
    datasets = _import("sklearn.datasets")
    images = datasets.load_digits().images.astype(np.uint8)[..., np.newaxis]
    images = images[_fixed_order(len(images))]
    return ImageData(
        name=f"digits (scikit-learn {_import('sklearn').__version__})",
        train=images[:-400],
        validation=images[-400:-200],
        test=images[-200:],
        levels=17,
        splits={"train": "first 1397 of a fixed shuffle", "validation": "next 200", "test": "last 200"},
    )


def photo_patches(size=32, stride=4):
    """Returns square crops of scikit-learn's two photographs, at every `stride`-th row and column: size x size x 3.

    No pixel is shared between splits: each takes its own columns of the photographs. With the defaults there are
    21,186 crops to train and 1,782 in each of the others; neighbours overlap, so a split says less than its size.

    Args:
      size: int in [1, 64], pixels.
      stride: int, pixels from one crop to the next, at least 1.

    Raises:
      ImportError: without scikit-learn or Pillow.
      ValueError: if `size` or `stride` is out of range.
    """
    _check_int("size", size, 1, "the side of a crop in pixels")
    _check_int("stride", stride, 1, "the pixels from one crop to the next")
    if size > 64:
        raise ValueError(f"`size`={size}: must be at most 64, the width of the strips that are held out.")
    _import("PIL")  # scikit-learn's own message would not name our extra
    datasets = _import("sklearn.datasets")
    photos = [datasets.load_sample_image(name) for name in ("china.jpg", "flower.jpg")]
    crops = {}
    for split, strips in _PHOTO_COLUMNS.items():
        grids = []
        for photo in photos:
            for left, right in strips:
                views = np.lib.stride_tricks.sliding_window_view(photo[:, left:right], (size, size), axis=(0, 1))
                grids.append(views[::stride, ::stride].transpose(0, 1, 3, 4, 2).reshape(-1, size, size, 3))
        images = np.concatenate(grids)
        crops[split] = images[_fixed_order(len(images))]
    return ImageData(
        name=f"{size}x{size} crops of china.jpg and flower.jpg (scikit-learn {_import('sklearn').__version__})",
        levels=256,
        splits={split: f"columns {strips}, every {stride} pixels" for split, strips in _PHOTO_COLUMNS.items()},
        **crops,
    )


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
    tfds = _import("tensorflow_datasets")
    if data_dir is not None and not tfds.core.Path(data_dir).is_dir():
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
        raise _damaged(tfds.core.Path(data_dir or "~/tensorflow_datasets") / "cifar10", error) from error
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
        if len(images) != count:
            raise ValueError(f"{len(images)} images instead of {count}")
    except Exception as error:  # a missing file, a broken record, a split that dataset_info.json lacks
        raise _damaged(builder.data_path, f"split {split!r}: {error}") from error
    return images


def _damaged(where, reason):
    return ValueError(
        f"`data_dir`: its CIFAR-10 in {str(where)!r} is unfinished or damaged ({reason}): delete that folder and run "
        "again to download it."
    )


def folder(path, size):
    """Returns the pictures below a directory, as size x size x 3.

    Of each picture the central square is reduced to size x size (bicubic, antialiased). Pictures are files that end in
    .png, .jpg, .jpeg, .bmp, .gif (first frame) or .webp and don't start with a dot. A hash of its name below `path`
    says where a picture goes: about 5 % are held out for validation and 5 % for testing, and a picture that is added
    moves no other. Only where no name hashes to validation or test, that split takes the picture closest to it.

    Args:
      path: str or path of a directory with at least 3 pictures, in it or in directories below.
      size: int, pixels.

    Raises:
      FileNotFoundError, NotADirectoryError: if there is no directory `path`.
      ImportError: without Pillow or tqdm.
      ValueError: if `size` is not positive, there are too few pictures, or one is damaged, too small or has more than
        8 bits a channel; it is named.
    """
    _check_int("size", size, 1, "the side of an image in pixels")
    path = pathlib.Path(path)
    if not path.exists():
        raise FileNotFoundError(f"`path`={str(path)!r}: does not exist; give a directory of pictures.")
    if not path.is_dir():
        raise NotADirectoryError(f"`path`={str(path)!r}: is a file; give the directory that holds the pictures.")
    files = [f for f in path.rglob("*") if f.suffix.lower() in _SUFFIXES and f.name[0] != "." and f.is_file()]
    if len(files) < 3:
        raise ValueError(
            f"`path`={str(path)!r}: holds {len(files)} pictures ({', '.join(_SUFFIXES)}): must hold at least 3, to "
            "train, validate and test; add some."
        )
    ranked = sorted((_unit_hash(f.relative_to(path).as_posix()), f) for f in files)
    num_test = max(1, sum(rank < _HELD_OUT for rank, _ in ranked))
    num_held_out = min(max(num_test + 1, sum(rank < 2 * _HELD_OUT for rank, _ in ranked)), len(files) - 1)
    num_test = min(num_test, num_held_out - 1)
    images = _read_pictures([f for _, f in ranked], size)
    return ImageData(
        name=f"folder {path.resolve().name}, {len(files)} pictures at {size}x{size}",
        train=images[num_held_out:],
        validation=images[num_test:num_held_out],
        test=images[:num_test],
        levels=256,
        splits={
            "train": "the rest",
            "validation": f"the next {num_held_out - num_test} by hashed name",
            "test": f"the first {num_test} by hashed name",
        },
    )


def _read_pictures(files, size):
    """Returns uint8 [N, size, size, 3]; decodes on several threads."""
    pillow, tqdm = _import("PIL.Image"), _import("tqdm")
    orient = _import("PIL.ImageOps").exif_transpose

    def read(file):
        try:
            with pillow.open(file) as picture:
                # Pillow would clip these to 255, not rescale them.
                deep = picture.mode[0] in "IF"
                picture = orient(picture).convert("RGB")
        except Exception as error:  # decoders raise nearly anything
            raise ValueError(f"picture {str(file)!r}: can't be read ({error}); repair or remove it.") from error
        width, height = picture.size
        side = min(width, height)
        if deep:
            raise ValueError(f"picture {str(file)!r}: has more than 8 bits a channel; convert it to 8 bits.")
        if side < size:
            raise ValueError(
                f"picture {str(file)!r}: is {width}x{height}, smaller than `size`={size}; remove it or lower `size`."
            )
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
        return np.asarray(picture.resize((size, size), pillow.Resampling.BICUBIC, box=box))

    images = np.empty((len(files), size, size, 3), np.uint8)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        done = tqdm.tqdm(pool.map(read, files), "reading pictures", len(files), disable=len(files) <= 500)
        for i, image in enumerate(done):
            images[i] = image
    return images


def train_batches(images, batch_size, *, seed, start_step=0, num_steps=None, flip=False):
    """Returns a tf.data.Dataset of uint8 batches [batch_size, H, W, C] without end, or of `num_steps` batches.

    Batch number s is a function of `images`, `batch_size`, `seed`, `flip` and s alone. So a run that stopped before
    step s goes on with `start_step=s` exactly, and at once. Every epoch has its own order, which shows every image
    once; a batch may begin in one epoch and end in the next.

    Args:
      images: uint8 array [N, H, W, C].
      batch_size: int, at most N.
      seed: int; another seed gives other orders and other flips.
      start_step: int, number of the first batch.
      num_steps: int, how many batches from there; None for no end.
      flip: Python bool; mirror every image left to right with probability 1/2.

    Raises:
      ValueError: if an argument breaks its rule.
    """
    _check_images("images", images)
    _check_int("batch_size", batch_size, 1, "the images of a batch")
    _check_int("seed", seed, 0, "which selects orders and flips")
    _check_int("start_step", start_step, 0, "the number of the first batch")
    if num_steps is not None:
        _check_int("num_steps", num_steps, 1, "the number of batches; None is for no end")
    total = len(images)
    if batch_size > total:
        raise ValueError(f"`batch_size`={batch_size}: must be at most the number of images, {total}; lower it.")
    with tf.device("CPU:0"):  # where tf.data gathers from it; made once, here, and captured
        pixels = tf.constant(images)

    def batch(step):
        places = step * batch_size + tf.range(batch_size, dtype=tf.int64)
        epochs = places // total
        # A batch is no longer than an epoch, so it touches two at most.
        keys = [
            tf.random.stateless_uniform([3], _seed(seed, epoch, _ORDER), minval=None, maxval=None, dtype=tf.int64)
            for epoch in (epochs[0], epochs[0] + 1)
        ]
        rows = tf.raw_ops.RandomIndexShuffle(
            index=places % total,
            seed=tf.gather(keys, epochs - epochs[0]),
            max_index=tf.constant(total - 1, tf.int64),
            rounds=_SHUFFLE_ROUNDS,
        )
        chosen = tf.gather(pixels, rows)
        if flip:
            mirrored = tf.random.stateless_uniform([batch_size, 1, 1, 1], _seed(seed, step, _FLIP)) < 0.5
            chosen = tf.where(mirrored, chosen[:, :, ::-1], chosen)
        return chosen

    steps = tf.data.Dataset.counter(start_step)
    if num_steps is not None:
        steps = steps.take(num_steps)
    return steps.map(batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)


def eval_batches(images, batch_size):
    """Returns a tf.data.Dataset of all `images` (uint8 [N, H, W, C]) in order; the last batch may be smaller."""
    _check_images("images", images)
    _check_int("batch_size", batch_size, 1, "the images of a batch")
    return tf.data.Dataset.from_tensor_slices(images).batch(batch_size).prefetch(tf.data.AUTOTUNE)


def _seed(seed, number, purpose):
    return tf.random.experimental.stateless_fold_in(tf.stack([tf.constant(seed, tf.int64), number]), purpose)


def _fixed_order(count):
    # The legacy generator: NumPy promises that its streams never change.
    return np.random.RandomState(0).permutation(count)


def _unit_hash(text):
    """Returns a float in [0, 1) that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48


def _import(module):
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f'`{module}` is needed for these data: pip install "tfp_realnvp[examples]"') from error


def _check_int(name, value, smallest, meaning):
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < smallest:
        raise ValueError(f"`{name}`={value!r}: must be an int of at least {smallest}, {meaning}.")


def _check_images(name, images):
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim != 4 or 0 in images.shape:
        found = f"{images.dtype} {images.shape}" if isinstance(images, np.ndarray) else type(images).__name__
        raise ValueError(f"`{name}` is {found}: must be a uint8 array [N, H, W, C], none of its sizes 0.")
