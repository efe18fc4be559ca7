"""Data sets whose archives are fetched by hand, and then prepared as if tensorflow_datasets had downloaded them.

It no longer can: Google Drive's quota stops CelebA, image-net.org dropped the downsampled ImageNet, and TFDS reads LSUN
by tensorflow_io, which current TensorFlow has none of.
"""

import contextlib
import functools
import io
import os
import pathlib
import tarfile
import tempfile
import zipfile
import zlib

import tensorflow as tf

from examples.data.image_data import import_extra

# TFDS's name of a data set, with its config: its files, as their sources name them.
FILES = {
    "celeb_a": (
        *("img_align_celeba.zip", "list_eval_partition.txt", "list_attr_celeba.txt"),
        *("list_landmarks_align_celeba.txt", "identity_CelebA.txt"),
    ),
    **{f"downsampled_imagenet/{n}": (f"train_{n}.tar", f"valid_{n}.tar") for n in ("32x32", "64x64")},
    **{f"lsun/{n}": (f"{n}_train_lmdb.zip", f"{n}_val_lmdb.zip") for n in ("bedroom", "church_outdoor", "tower")},
}
_SOURCES = {
    "celeb_a": "the links of CelebA's project page, mmlab.ie.cuhk.edu.hk/projects/CelebA.html (Align&Cropped Images)",
    "downsampled_imagenet": "copies of the set of van den Oord et al. 2016, which image-net.org/small no longer has; "
    "what image-net.org offers as downsampled now is another set, anti-aliased, of Chrabaszcz et al. 2017",
    "lsun": "the LSUN page, yf.io/p/lsun; the folder *_lmdb that is in an archive does as well",
}


def instructions(name, data_dir=None):
    """Returns which files the data set `name` of `FILES` needs, where they come from and where they go."""
    absent = ", ".join(missing(name, data_dir)) or "none"
    return (
        f"`{name}` can't be downloaded by tensorflow_datasets: put {', '.join(FILES[name])} into "
        f"{str(_manual(data_dir))!r} (missing: {absent}). They come from {_SOURCES[name.partition('/')[0]]}."
    )


def missing(name, data_dir=None):
    """Returns the names of the files of data set `name` that are not in downloads/manual below `data_dir`."""
    if name not in FILES:
        raise ValueError(f"`name`={name!r}: must be one of {', '.join(FILES)}.")
    folder = _manual(data_dir)
    return tuple(f for f in FILES[name] if not (folder / f).is_file() and not _unzipped(folder / f).is_file())


def prepare(name, data_dir=None):
    """Writes the data set `name` where `tfds.builder(name, data_dir=data_dir)` finds it, unless it is there.

    Needs no network. LSUN's archives are unzipped next to themselves for the time being.

    Args:
      name: str, key of `FILES`.
      data_dir: str or path, the `data_dir` of tensorflow_datasets; None for its default. The files are in
        downloads/manual below it.

    Raises:
      FileNotFoundError: if a file is missing; with the instructions.
      ImportError: without tensorflow_datasets, or for LSUN lmdb or Pillow.
      OSError: if the data can't be written, as on a full disk.
      ValueError: if `name` is not in `FILES`, a file is damaged, or an earlier result is unfinished.
    """
    absent, folder = missing(name, data_dir), _manual(data_dir)
    tfds = import_extra("tensorflow_datasets")
    builder = tfds.builder(name, data_dir=folder.parents[1])
    if builder.is_prepared():
        return
    if builder.data_path.exists():  # which TFDS would take for the data set
        raise ValueError(f"`data_dir`: {str(builder.data_path)!r} is unfinished or damaged; delete that folder.")
    if absent:
        raise FileNotFoundError(instructions(name, data_dir))
    original = builder._split_generators
    builder._split_generators = lambda dl_manager: original(_LocalFiles(builder.url_infos, folder))
    try:
        for file in FILES[name]:
            _check_end(folder / file)
        with contextlib.ExitStack() as stack:
            if name.startswith("lsun/"):
                builder._generate_examples = functools.partial(_read_lmdb, stack)
            builder.download_and_prepare(download_config=tfds.download.DownloadConfig(try_download_gcs=False))
    except (AssertionError, LookupError, OSError, RuntimeError, ValueError, tf.errors.OpError) as error:
        # TFDS makes a RuntimeError of some errors of TensorFlow, which writes the records.
        if isinstance(error, OSError | tf.errors.OpError) or isinstance(error.__cause__, tf.errors.OpError):
            place = str(builder.data_path.parent)
            raise OSError(f"`{name}`: can't be written to {place!r} ({error}); make room or allow it.") from error
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"`{name}`: can't be prepared from {str(folder)!r} ({reason}); fetch it anew.") from error


def _manual(data_dir):
    root = data_dir or os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
    return pathlib.Path(root).expanduser() / "downloads" / "manual"


def _unzipped(archive):
    return archive.with_suffix("") / "data.mdb"


class _LocalFiles:
    """What the builders ask of a download manager, from files at hand."""

    def __init__(self, url_infos, folder):
        self._url_infos, self._folder = url_infos, folder

    def download(self, urls):
        return tf.nest.map_structure(lambda url: self._folder / self._url_infos[url].filename, urls)

    download_and_extract = download  # `_read_lmdb` extracts

    def iter_archive(self, path):
        with _naming(path):
            for member, data in (_read_zip if path.suffix == ".zip" else _read_tar)(path):
                if not os.path.basename(member).startswith("."):  # left by another system
                    yield os.path.normpath(member), io.BytesIO(data)


def _read_zip(path):
    with zipfile.ZipFile(path) as archive:
        yield from ((member, archive.read(member)) for member in archive.namelist() if member[-1] != "/")


def _read_tar(path):
    with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
        while member := archive.next():
            if member.isfile():
                file.seek(member.offset_data)
                yield member.name, file.read(member.size)
            archive.members = []  # type: ignore[attr-defined]  # else a million pile up
        file.seek(archive.offset)
        if any(file.read(512)):  # `next` takes a broken header for the end.
            raise tarfile.ReadError(f"bad header at byte {archive.offset}")


def _read_lmdb(stack, extracted_dir, file_path):
    """Yields the examples of a split of LSUN; `extracted_dir` is the archive, `file_path` the folder in it."""
    lmdb, pillow = import_extra("lmdb"), import_extra("PIL.Image")
    with _naming(extracted_dir, lmdb.Error, pillow.UnidentifiedImageError):
        records = _unzipped(extracted_dir)
        if not records.is_file():
            scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="unzipped_", dir=extracted_dir.parent))
            with zipfile.ZipFile(extracted_dir) as archive:
                records = pathlib.Path(archive.extract(f"{file_path}/{records.name}", scratch))
        env = stack.enter_context(lmdb.open(str(records.parent), readonly=True, lock=False))
        if (env.info()["last_pgno"] + 1) * env.stat()["psize"] > records.stat().st_size:  # Reading on would crash.
            raise EOFError(f"{records.name} is cut short")
        for number, (key, value) in enumerate(stack.enter_context(env.begin()).cursor()):
            if not value.startswith((b"\xff\xd8", b"\x89PNG")):  # WebP: TensorFlow reads it as a film, if at all.
                picture = io.BytesIO()
                pillow.open(io.BytesIO(value)).convert("RGB").save(picture, "PNG")
                value = picture.getvalue()
            yield number, {"id": key.decode(), "image": value}


def _check_end(path):
    """Raises ValueError if a file was cut short, which is else noticed late, or never."""
    if path.suffix == ".zip":
        whole = _unzipped(path).is_file() or zipfile.is_zipfile(path)
    else:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 512))
            end = file.read()
        whole = end.endswith(b"\n") if path.suffix == ".txt" else len(end) == 512 and not any(end)
    if not whole:
        raise ValueError(f"{path.name} is damaged or cut short")


@contextlib.contextmanager
def _naming(path, *errors):
    try:
        yield
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, KeyError, *errors) as error:
        raise ValueError(f"{path.name} is damaged: {error}") from error
