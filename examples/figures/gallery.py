"""One static page with the figures of several runs, laid out like the paper's web page: one row per run."""

import contextlib
import json
import math
import os
import pathlib
import re
import shutil

from PIL import Image

from examples import json_files, results  # Nothing here imports TensorFlow, which a page does not need.
from examples.figures import gallery_page
from examples.figures.gallery_page import Source

PAGE, RECORD = "index.html", "gallery.json"
_PICTURE = re.compile(r"[\w-][\w.-]*\.(png|webp)")
_GALLERY_FILE = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
_MAX_PIXELS = 2**26  # 67 million; the largest sheet, 64 samples ten times as large as 64x64, has 27 million


def make(runs, directory):
    """Writes DIR/index.html, the pictures that it shows and gallery.json, all or none; returns the gallery's record.

    Args:
      runs: list of directories of runs that have figures/, and of toy figures, in the order of the page.
      directory: str or path of a directory that is new, empty, or holds an earlier gallery, which is replaced.

    Raises:
      ValueError: if there are no runs, or a record, picture or result is damaged.
      OSError: if a directory is missing (FileNotFoundError), or `directory` holds other files or can't be written to.
    """
    if isinstance(runs, str | os.PathLike) or not runs:
        raise ValueError(f"`run`={runs!r}: must be directories of runs, at least one; name each, --run=DIR.")
    directory = pathlib.Path(directory)
    earlier = _earlier_files(directory)
    sources: list[Source] = []
    for run in map(str, runs):
        sources.append(_read(run, {source.folder for source in sources}))
    page, copies = gallery_page.render(sources, directory)
    files = [*sorted(copies), RECORD, PAGE]
    alt = f"page with the figures of {', '.join(source.title for source in sources)}"
    record = {"figure": "gallery", "pictures": [{"file": PAGE, "alt": alt}], "files": files}
    _check_free(directory, files, earlier)
    _write(directory, copies, page, record, earlier)
    return record


def _read(given, taken):
    run = pathlib.Path(given)
    if not run.is_dir():
        raise FileNotFoundError(f"`run`={given}: no such directory; name a run's directory, e.g. runs/digits.")
    name = re.sub(r"[^a-zA-Z0-9]+", "-", run.resolve().name).strip("-").lower() or "run"
    folder = next(f for f in (name, *(f"{name}-{i}" for i in range(2, 10**6))) if f not in taken)
    figures, toy, result = run / "figures", run / "toy.json", run / "result_test.json"
    if figures.is_dir():
        paths = {figure: figures / f"{figure}.json" for figure in gallery_page.FIGURES}
        records = {figure: _record(path, figure, given) for figure, path in paths.items() if path.is_file()}
        return Source(given, folder, figures, records, results.read(result) if result.is_file() else None)
    if toy.is_file():
        return Source(given, folder, run, {"toy": _record(toy, "toy", "")})
    raise FileNotFoundError(
        f"`run`={given}: has neither figures/ nor toy.json; make its figures first, e.g. "
        f"{gallery_page.command('samples', given)}."
    )


def _record(path, figure, given):
    """Returns a figure's record with its pictures by name, each with its size; raises ValueError if it is damaged."""

    def damaged(what):
        return ValueError(f"{path}: {what}; make the figure anew: {gallery_page.command(figure, given)}.")

    try:
        record = json_files.read(path)
    except (OSError, ValueError) as error:
        raise damaged(f"can't be read as JSON ({error})") from error
    if not isinstance(record, dict) or not isinstance(record.get("pictures"), list):
        raise damaged("must hold one JSON object with a list of `pictures`")
    texts = {key: record.get(key, "") for key in ("config", "data", "command", "training_command")}
    for key, value in texts.items():
        if not isinstance(value, str):
            raise damaged(f"`{key}`={value!r} must be a text")
    pictures = {}
    for picture in record["pictures"]:
        if not isinstance(picture, dict) or not all(isinstance(picture.get(key), str) for key in ("file", "alt")):
            raise damaged(f"`pictures` holds {picture!r}, which must be an object with the texts `file` and `alt`")
        name = picture["file"]
        pictures[name] = {**picture, "size": _size(path.parent, name, damaged)}
    for strip in (picture for picture in pictures.values() if "frames" in picture):
        if not _is_strip(strip, pictures.get(f"{figure}.png")):
            raise damaged(f"`frames` and `columns` are not those of {strip['file']}")
    return {**record, **texts, "pictures": pictures}


def _size(directory, name, damaged):
    """Returns (width, height) of a picture beside its record; raises the error that `damaged` makes if it is none."""
    file = directory / name
    if not _PICTURE.fullmatch(name) or file.resolve().parent != directory.resolve():
        raise damaged(f"names the picture {name!r}, which must be a .png or .webp file beside the record")
    if not file.is_file():
        raise damaged(f"names the picture {name!r}, which is missing")
    try:
        with Image.open(file, formats=["PNG", "WEBP"]) as image:
            if image.width * image.height > _MAX_PIXELS:
                raise ValueError(f"it has {image.width}x{image.height} pixels, more than {_MAX_PIXELS:,}")
            image.load()  # All of it is read, because a file that is cut short begins correctly.
            return image.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise damaged(f"names the picture {name!r}, which can't be decoded ({error})") from error


def _is_strip(strip, still):
    """Whether a picture has the size of as many frames as its record says, side by side with gaps of 2 pixels."""
    count, columns = strip["frames"], strip.get("columns")
    if still is None or not all(type(number) is int and number > 0 for number in (count, columns)):
        return False
    axes = zip(strip["size"], still["size"], (columns, math.ceil(count / columns)), strict=True)
    return all(strip_side + 2 == frames * (frame_side + 2) for strip_side, frame_side, frames in axes)


def _earlier_files(directory):
    """Returns the set of files of the gallery in a directory, empty for a new one; raises OSError for other files."""
    nearest = next(d for d in (directory, *directory.absolute().parents) if d.exists() or d.is_symlink())
    if not nearest.is_dir():
        raise NotADirectoryError(f"`out`={directory}: {nearest} is a file; name a directory for the page.")
    if nearest != directory or not any(directory.iterdir()):
        return set()
    names = [path.name for path in directory.iterdir()]
    try:
        if not (directory / RECORD).is_file():  # Reading something else might not end.
            raise ValueError("no record")
        record = json_files.read(directory / RECORD)
        files = set(record["files"])
        if record["figure"] != "gallery" or not all(map(_GALLERY_FILE.fullmatch, files)):
            raise ValueError("no record of a gallery")
        return files
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise _foreign_file_error(directory, RECORD if RECORD in names else names[0]) from error


def _check_free(directory, files, earlier):
    """Raises OSError if new files would replace what is not of the earlier gallery, or its files are none, but links.

    A gallery writes no links. Through one, files of another directory would be replaced or deleted.
    """
    for name in sorted({*files, *earlier}):
        path = directory / name
        if path.parent.is_symlink() or (path.parent.exists() and not path.parent.is_dir()):
            raise _foreign_file_error(directory, path.parent.name)
        if path.is_symlink() or (path.exists() and not (name in earlier and path.is_file())):
            raise _foreign_file_error(directory, name)


def _foreign_file_error(directory, name):
    return FileExistsError(
        f"`out`={directory}: holds {name}, which no gallery wrote; name a new or empty directory, or one of a gallery."
    )


def _write(directory, copies, page, record, earlier):
    new_directories = [d for d in (directory, *directory.parents) if not d.exists()]
    # Everything that needs space is written in here first; then files are only renamed, the page last.
    staging = directory / f".gallery.{os.getpid()}.tmp"
    new_files: list[pathlib.Path] = []
    try:
        staging.mkdir(parents=True)
        for name, source in copies.items():
            (staging / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(source, staging / name)
        # Until the page is in place, its files and those of the earlier page both belong here.
        interim = {**record, "files": sorted({*record["files"], *earlier})}
        for name, fields in {RECORD: interim, "final": record}.items():
            (staging / name).write_text(json.dumps(fields, indent=1) + "\n", encoding="utf-8")
        (staging / PAGE).write_bytes(page.encode("utf-8", "replace"))  # JSON may hold half a surrogate pair.
        for name in (RECORD, *copies, PAGE):
            (directory / name).parent.mkdir(exist_ok=True)
            os.replace(staging / name, directory / name)
            new_files += [] if name in earlier else [directory / name]
    except BaseException as error:
        shutil.rmtree(staging, ignore_errors=True)
        for path in new_files:
            path.unlink(missing_ok=True)
        _remove_empty(*{path.parent for path in new_files} - {directory}, *new_directories)
        if isinstance(error, OSError):
            raise OSError(
                f"`out`={directory}: can't be written to ({error.strerror}); name a directory that can, or free space."
            ) from error
        raise
    for name in earlier - set(record["files"]):
        (directory / name).unlink(missing_ok=True)
        _remove_empty((directory / name).parent)
    os.replace(staging / "final", directory / RECORD)
    shutil.rmtree(staging)


def _remove_empty(*directories):
    for path in directories:
        with contextlib.suppress(OSError):  # It is not empty, or was never made.
            path.rmdir()
