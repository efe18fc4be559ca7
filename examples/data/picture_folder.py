"""Images from any directory of pictures."""

import concurrent.futures
import hashlib
import os
import pathlib
import warnings

import numpy as np

from examples.data import picture_file
from examples.data.image_data import ImageData, check_int, import_extra, refuse_conditional
from examples.data.images import ArrayImages

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
_NUM_THREADS = min(4, os.cpu_count() or 1)
_HELD_OUT = 0.05  # share of a folder in each of validation and test


def folder(path, size, conditional=False):
    """Returns the `ImageData` of the pictures below a directory, uint8 [size, size, 3].

    A picture is reduced until its short side is `size` (bicubic, antialiased), and its central square is kept. Pictures
    are the files that end in .png, .jpg, .jpeg, .bmp, .gif (first frame) or .webp and don't start with a dot. Links to
    pictures are followed, links to directories are not. Decoding takes less than 1 GiB of memory, whatever the
    directory holds.

    A hash of a picture's name below `path` selects its split: about 5 % are held out for validation and 5 % for
    testing, and a picture that is added moves no other. There is one exception: if no name hashes to one of these two
    splits, the split takes the picture whose hash is closest.

    Args:
      path: str or path of a directory that holds at least 3 pictures, itself or in directories below it.
      size: int, side of an image in pixels.
      conditional: must be False, because there are no classes.

    Raises:
      FileNotFoundError, NotADirectoryError: if there is no directory `path`.
      ImportError: if Pillow or tqdm is missing.
      ValueError: if `size` is not positive, there are too few pictures, or a picture, which the message names, is
        damaged, too small, too large (see `picture_file`), has more than 8 bits per channel or a name that is no text.
    """
    refuse_conditional(conditional, "a folder")
    check_int("size", size, 1, "the side of an image in pixels")
    if path is None:
        raise ValueError("`folder`=None: must be a directory of pictures; name one, --folder=PATH.")
    path = pathlib.Path(path)
    if not path.exists():
        raise FileNotFoundError(f"`path`={str(path)!r}: does not exist; give a directory of pictures.")
    if not path.is_dir():
        raise NotADirectoryError(f"`path`={str(path)!r}: is a file; give the directory that holds the pictures.")
    _check_is_text(path.resolve().name, f"`path`={str(path)!r}")
    try:
        files = [f for f in path.rglob("*") if f.suffix.lower() in _SUFFIXES and f.name[0] != "." and f.is_file()]
    except RecursionError as error:  # Up to Python 3.12, which calls itself for each level.
        raise ValueError(f"`path`={str(path)!r}: its directories are nested too deeply; move pictures up.") from error
    if len(files) < 3:
        raise ValueError(
            f"`path`={str(path)!r}: holds {len(files)} pictures ({', '.join(_SUFFIXES)}): must hold at least 3, to "
            "train, validate and test; add some."
        )
    names = [f.relative_to(path).as_posix() for f in files]
    for name, file in zip(names, files, strict=True):
        _check_is_text(name, f"picture {str(file)!r}")
    ranked = sorted((_unit_hash(name), f) for name, f in zip(names, files, strict=True))
    num_test = max(1, sum(rank < _HELD_OUT for rank, _ in ranked))
    num_held_out = min(max(num_test + 1, sum(rank < 2 * _HELD_OUT for rank, _ in ranked)), len(files) - 1)
    num_test = min(num_test, num_held_out - 1)
    images = _read_pictures([f for _, f in ranked], size)
    return ImageData(
        key="folder",
        name=f"folder {path.resolve().name}, {len(files)} pictures at {size}x{size}",
        train=ArrayImages(images[num_held_out:]),
        validation=ArrayImages(images[num_test:num_held_out]),
        test=ArrayImages(images[:num_test]),
        levels=256,
        splits={
            "train": "the rest",
            "validation": f"the next {num_held_out - num_test} by hashed name",
            "test": f"the first {num_test} by hashed name",
        },
        preprocessing=f"short side to {size} (bicubic, antialiased), central square",
    )


def _read_pictures(files, size):
    """Returns uint8 [N, size, size, 3]; decodes on a few threads."""
    tqdm, pillow = import_extra("tqdm"), import_extra("PIL.Image")
    reader = picture_file.Reader(size)
    images = np.empty((len(files), size, size, 3), np.uint8)
    with warnings.catch_warnings(), concurrent.futures.ThreadPoolExecutor(_NUM_THREADS) as pool:
        # What Pillow only warns of is refused too. Filters hold for all threads, so they are not set in these.
        warnings.simplefilter("error", pillow.DecompressionBombWarning)
        decoded = tqdm.tqdm(pool.map(reader.read, files), "reading pictures", len(files), disable=len(files) <= 500)
        for i, image in enumerate(decoded):
            images[i] = image
    return images


def _check_is_text(name, what):
    """Raises ValueError for a name that is not UTF-8, which has no hash and can't be written to a result."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{what}: its name is not valid UTF-8; rename it.") from error


def _unit_hash(text):
    """Returns a float in [0, 1) that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48
