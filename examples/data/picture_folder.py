"""Images from any directory of pictures."""

import concurrent.futures
import os
import pathlib
import warnings

import numpy as np

from examples.data import picture_file, picture_names
from examples.data.image_data import ImageData, check_int, import_extra
from examples.data.images import ArrayImages

_NUM_THREADS = min(4, os.cpu_count() or 1)


def folder(path, size, conditional=False):
    """Returns the `ImageData` of the pictures below a directory, uint8 [size, size, 3].

    A picture is resized until its short side is `size` (bicubic, antialiased), and its central square is kept. Pictures
    are the files that end in .png, .jpg, .jpeg, .bmp, .gif (first frame) or .webp. Other files are skipped, and so is
    everything, file or folder, whose name starts with a dot. Links to pictures are followed, links to directories are
    not. `notes` says how many pictures were cut to a square, how many were smaller than `size` and enlarged, and how
    many files were skipped. Decoding takes less than 1 GiB of memory, whatever the directory holds.

    A hash of a picture's name below `path` selects its split, and nothing else does: about 5 % are held out for
    validation and 5 % for testing, and a picture moves to another split only if it, or a folder between `path` and it,
    is renamed. So a directory whose names leave a split empty, as those of few pictures do, is refused.

    Args:
      path: str or path of a directory that holds at least 3 pictures, itself or in directories below it.
      size: int, side of an image in pixels, at most 8192.
      conditional: bool; each image comes with its class, one-hot. The classes are the names of the folders directly in
        `path`, sorted; a picture may lie at any depth below the folder of its class.

    Raises:
      FileNotFoundError, NotADirectoryError: if there is no directory `path`.
      ImportError: if Pillow or tqdm is missing.
      ValueError: if `size` is out of range, a split is empty, the classes are not as `conditional` demands, or a
        picture, which the message names, is damaged, too large (see `picture_file`), has more than 8 bits per channel
        or a name that is no text.
    """
    check_int("size", size, 1, "the side of an image in pixels")
    reader = picture_file.Reader(size)
    if path is None:
        raise ValueError("`folder`=None: must be a directory of pictures; name one, --folder=PATH.")
    path = pathlib.Path(path)
    if not path.exists():
        raise FileNotFoundError(f"`path`={str(path)!r}: does not exist; give a directory of pictures.")
    if not path.is_dir():
        raise NotADirectoryError(f"`path`={str(path)!r}: is a file; give the directory that holds the pictures.")
    picture_names.check_is_text(path.resolve().name, f"`path`={str(path)!r}")
    names, num_skipped = picture_names.find(path)
    found = picture_names.by_split(path, names)
    classes = picture_names.classes(path, found) if conditional else ()
    images, changes = _read_pictures(reader, [path / name for name in names], size)
    ends = np.cumsum([len(found["test"]), len(found["validation"])])

    def split(rows):
        if not conditional:
            return ArrayImages(images[rows])
        indices = [classes.index(picture_names.class_of(name)) for name in names[rows]]
        return ArrayImages(images[rows], np.eye(len(classes), dtype=np.float32)[indices])

    skipped = [f"{num_skipped:,} file{'s' * (num_skipped > 1)} skipped (hidden, or no pictures)"] * (num_skipped > 0)
    return ImageData(
        key="folder",
        name=f"folder {path.resolve().name}, {len(names)} pictures at {size}x{size}",
        train=split(slice(ends[1], None)),
        validation=split(slice(*ends)),
        test=split(slice(ends[0])),
        levels=256,
        splits=dict(picture_names.SPLITS),
        preprocessing="; ".join([f"short side to {size} (bicubic, antialiased), central square", *changes]),
        conditioning_names=classes,
        notes="; ".join([*changes, *skipped]),
    )


def _read_pictures(reader, files, size):
    """Returns uint8 [N, size, size, 3] and words that say how many were cut or enlarged; decodes on a few threads."""
    tqdm, pillow = import_extra("tqdm"), import_extra("PIL.Image")
    images = np.empty((len(files), size, size, 3), np.uint8)
    num_cut = num_enlarged = 0
    with warnings.catch_warnings(), concurrent.futures.ThreadPoolExecutor(_NUM_THREADS) as pool:
        # What Pillow only warns of is refused too. Filters hold for all threads, so they are not set in these.
        warnings.simplefilter("error", pillow.DecompressionBombWarning)
        decoded = tqdm.tqdm(pool.map(reader.read, files), "reading pictures", len(files), disable=len(files) <= 500)
        for i, (image, (width, height)) in enumerate(decoded):
            images[i] = image
            num_cut += width != height
            num_enlarged += min(width, height) < size
    counts = {"cut to a square": num_cut, "enlarged": num_enlarged}
    return images, [f"{count:,} of {len(files):,} pictures {done}" for done, count in counts.items() if count]
