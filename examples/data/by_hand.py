"""Data sets whose archives are fetched by hand, and then prepared as if tensorflow_datasets had downloaded them.

TFDS can no longer download them: Google Drive's quota stops CelebA, image-net.org dropped the downsampled ImageNet, and
TFDS reads LSUN through tensorflow_io, which does not exist for current TensorFlow.
"""

import contextlib
import functools
import io
import os
import pathlib
import tempfile
import zipfile

import tensorflow as tf

from examples.data import archives, lmdb_records, picture_file
from examples.data.image_data import import_extra

# TFDS's name of a data set, config included -> its files, under the names that their sources give them.
FILES = {
    "celeb_a": (
        *("img_align_celeba.zip", "list_eval_partition.txt", "list_attr_celeba.txt"),
        *("list_landmarks_align_celeba.txt", "identity_CelebA.txt"),
    ),
    **{f"downsampled_imagenet/{n}": (f"train_{n}.tar", f"valid_{n}.tar") for n in ("32x32", "64x64")},
    **{f"lsun/{n}": (f"{n}_train_lmdb.zip", f"{n}_val_lmdb.zip") for n in ("bedroom", "church_outdoor", "tower")},
}
# Data set -> the most bytes of a picture, and the most that pictures have on average: more than those of the data set.
_BYTES = {
    "celeb_a": (2**18, 10_000),
    "downsampled_imagenet/32x32": (2**16, 2**12),
    "downsampled_imagenet/64x64": (2**16, 2**14),
    "lsun": (2**22, 2**16),
}
# Archive -> how many pictures it has, of some packagings the largest.
_PICTURES = {
    "img_align_celeba.zip": 202_599,
    **{f"train_{n}.tar": 1_281_167 for n in ("32x32", "64x64")},
    **{f"valid_{n}.tar": 50_000 for n in ("32x32", "64x64")},
    **{f"{n}_val_lmdb.zip": 300 for n in ("bedroom", "church_outdoor", "tower")},
    **{"bedroom_train_lmdb.zip": 3_033_042, "church_outdoor_train_lmdb.zip": 126_227, "tower_train_lmdb.zip": 708_264},
}
_MAX_TEXT_BYTES = 2**26  # The largest list of CelebA has 27 MB.
_MAX_PIXELS = 2**24  # of a picture that is decoded here
_SOURCES = {
    "celeb_a": "the links of CelebA's project page, mmlab.ie.cuhk.edu.hk/projects/CelebA.html (Align&Cropped Images)",
    "downsampled_imagenet": "copies of the set of van den Oord et al. 2016, which image-net.org/small no longer has; "
    "the downsampled set that image-net.org offers now is another one, the anti-aliased set of Chrabaszcz et al. 2017",
    "lsun": "the LSUN page, yf.io/p/lsun; the folder *_lmdb that is in an archive does as well",
}


def instructions(name, data_dir=None):
    """Returns a text: which files the data set `name` of `FILES` needs, where they come from and where they go."""
    missing_files = ", ".join(missing(name, data_dir)) or "none"
    return (
        f"`{name}` can't be downloaded by tensorflow_datasets: put {', '.join(FILES[name])} into "
        f"{str(_manual_dir(data_dir))!r} (missing: {missing_files}). They come from {_SOURCES[name.partition('/')[0]]}."
    )


def missing(name, data_dir=None):
    """Returns a tuple of the files of the data set `name` that are not in downloads/manual below `data_dir`."""
    if name not in FILES:
        raise ValueError(f"`name`={name!r}: must be one of {', '.join(FILES)}.")
    folder = _manual_dir(data_dir)
    return tuple(f for f in FILES[name] if not (folder / f).is_file() and not _database(folder / f).is_file())


def prepare(name, data_dir=None):
    """Writes the data set `name` where `tfds.builder(name, data_dir=data_dir)` finds it, unless it is there.

    It needs no network. While LSUN is prepared, its unzipped archives lie beside the archives.

    Args:
      name: str, key of `FILES`.
      data_dir: str or path, the `data_dir` of tensorflow_datasets; None for its default. The files are in
        downloads/manual below it.

    Raises:
      FileNotFoundError: if a file is missing; the message is that of `instructions`.
      ImportError: if tensorflow_datasets is missing, or for LSUN lmdb or Pillow.
      OSError: if the data can't be written, as on a full disk.
      ValueError: if `name` is not in `FILES`, a file is damaged or holds more than the data set, or an earlier result
        is unfinished.
    """
    missing_files, folder = missing(name, data_dir), _manual_dir(data_dir)
    tfds = import_extra("tensorflow_datasets")
    builder = tfds.builder(name, data_dir=folder.parents[1])
    if builder.is_prepared():
        return
    if builder.data_path.exists():  # TFDS would take it for the data set.
        raise ValueError(f"`data_dir`: {str(builder.data_path)!r} is unfinished or damaged; delete that folder.")
    if missing_files:
        raise FileNotFoundError(instructions(name, data_dir))
    original = builder._split_generators
    builder._split_generators = lambda dl_manager: original(_LocalFiles(name, builder.url_infos, folder))
    try:
        for file in FILES[name]:
            _check_end(folder / file)
        with contextlib.ExitStack() as stack:
            if name.startswith("lsun/"):
                builder._generate_examples = functools.partial(_read_lmdb, stack, name)
            builder.download_and_prepare(download_config=tfds.download.DownloadConfig(try_download_gcs=False))
    except (
        ArithmeticError,
        AssertionError,
        LookupError,
        OSError,
        RuntimeError,
        ValueError,
        tf.errors.OpError,
    ) as error:
        # TensorFlow writes the records, and TFDS turns some of its errors into a RuntimeError.
        if isinstance(error, OSError | tf.errors.OpError) or isinstance(error.__cause__, tf.errors.OpError):
            target = str(builder.data_path.parent)
            raise OSError(
                f"`{name}`: can't be written to {target!r} ({error}); make room there, or allow writing."
            ) from error
        reason = " ".join(f"{type(error).__name__}: {error}".split())  # TFDS writes several lines.
        raise ValueError(f"`{name}`: can't be prepared from {str(folder)!r} ({reason}); fetch it anew.") from error


def _manual_dir(data_dir):
    root = data_dir or os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
    return pathlib.Path(root).expanduser() / "downloads" / "manual"


def _database(archive):
    """Returns the path of the LMDB file once an archive of LSUN is unzipped."""
    return archive.with_suffix("") / "data.mdb"


class _LocalFiles:
    """Answers what TFDS's builders ask of a download manager, from local files."""

    def __init__(self, name, url_infos, folder):
        self._name, self._url_infos, self._folder = name, url_infos, folder

    def download(self, urls):
        return tf.nest.map_structure(lambda url: self._folder / self._url_infos[url].filename, urls)

    download_and_extract = download  # `_read_lmdb` extracts.

    def iter_archive(self, path):
        read = archives.read_zip if path.suffix == ".zip" else archives.read_tar
        for member, content in read(path, _bounds(self._name, path)):
            yield os.path.normpath(member), io.BytesIO(content)


def _bounds(name, archive):
    """Returns the `Bounds` of an archive of the data set `name`."""
    picture_bytes, average = _BYTES[name if name in _BYTES else name.partition("/")[0]]
    pictures = _PICTURES[archive.name]
    return archives.Bounds(pictures, picture_bytes, pictures * average)


def _read_lmdb(stack, name, extracted_dir, file_path):
    """Yields the examples of a split of LSUN; TFDS passes the archive as `extracted_dir`, its folder as `file_path`."""
    import_extra("lmdb")
    bounds, records = _bounds(name, extracted_dir), _database(extracted_dir)
    if not records.is_file():
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="unzipped_", dir=extracted_dir.parent))
        unzipped = pathlib.Path(scratch) / records.name
        # A page of LMDB may be half empty.
        archives.unzip(extracted_dir, f"{file_path}/{records.name}", unzipped, 2**20 + 2 * bounds.total_bytes)
        records = unzipped
    found = lmdb_records.read(records.parent, bounds.members, bounds.member_bytes)
    try:
        for number, (key, value) in enumerate(stack.enter_context(contextlib.closing(found))):
            if not value.startswith((b"\xff\xd8", b"\x89PNG")):  # TensorFlow reads WebP as an animation, if at all.
                value = _as_png(value, key)
            yield number, {"id": key.decode(), "image": value}
    except ValueError as error:
        raise ValueError(f"{extracted_dir.name} is damaged: {error}") from error


def _as_png(content, key):
    """Returns a picture as a PNG; raises ValueError that names its key if it is damaged or has too many pixels."""
    pillow = import_extra("PIL.Image")
    try:
        with pillow.open(io.BytesIO(content), formats=picture_file.FORMATS) as picture:
            if picture.width * picture.height > _MAX_PIXELS:
                raise ValueError(f"it has {picture.width}x{picture.height} pixels: must have at most {_MAX_PIXELS:,}")
            file = io.BytesIO()
            picture.convert("RGB").save(file, "PNG")
    except Exception as error:  # Decoders raise nearly anything.
        raise ValueError(f"its picture {key!r} can't be read ({error})") from error
    return file.getvalue()


def _check_end(path):
    """Raises ValueError if a file was cut short, which would otherwise be noticed late or never."""
    num_bytes = path.stat().st_size if path.is_file() else 0  # A database of LSUN takes the place of its archive.
    if path.suffix == ".txt" and num_bytes > _MAX_TEXT_BYTES:  # TFDS reads it at once.
        raise ValueError(f"{path.name} is damaged: it has {num_bytes:,} bytes: must have at most {_MAX_TEXT_BYTES:,}")
    if path.suffix == ".zip":
        is_whole = _database(path).is_file() or zipfile.is_zipfile(path)
    else:
        with path.open("rb") as file:
            file.seek(max(0, num_bytes - 512))
            end = file.read()
        is_whole = end.endswith(b"\n") if path.suffix == ".txt" else len(end) == 512 and not any(end)
    if not is_whole:
        raise ValueError(f"{path.name} is damaged or cut short")
