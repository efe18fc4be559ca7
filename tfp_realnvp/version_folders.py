"""Folders that appear whole or not at all, numbered for TensorFlow Serving, with a checksum of each file."""

import contextlib
import hashlib
import os
import pathlib
import re
import shutil
import tempfile

import tensorflow as tf

CHECKSUMS = "SHA256SUMS"
_INCOMPLETE = ".incomplete-"


def local(directory):
    """Returns the user's `directory` as a `pathlib.Path`; raises if it is no path, or of another machine's storage."""
    try:
        path = os.fsdecode(directory)
    except TypeError as error:
        raise TypeError(f"`directory`={directory!r}: must be a path, a str or os.PathLike.") from error
    if re.match(r"\w+://", path):
        raise ValueError(
            f"`directory`={path}: must be on a file system of this machine, where a folder appears whole by renaming; "
            "name one there, and copy the folder."
        )
    return pathlib.Path(path).expanduser()


def versions(directory):
    """The version folders in `directory`, oldest first."""
    directory = local(directory)
    found = directory.iterdir() if directory.is_dir() else []
    return sorted((f for f in found if f.is_dir() and f.name.isdecimal()), key=lambda folder: int(folder.name))


@contextlib.contextmanager
def new_version(directory, num_bytes):
    """Yields a hidden folder to write to; if the block ends well, it becomes DIRECTORY/N, N one above all there.

    N appears by one renaming, after all its files, their checksums included, are on the disk. After a failure nothing
    of it is left; after a kill a hidden folder may be, which the next call removes: one writer at a time.

    Args:
      directory: path; made if it isn't there.
      num_bytes: int, how much room is needed at least.

    Raises:
      TypeError, ValueError: if `directory` is no path on this machine.
      OSError: if there is no room, or nothing can be written.
    """
    directory = local(directory)
    new = [d for d in (directory, *directory.parents) if not d.exists()]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for leftover in directory.glob(_INCOMPLETE + "*"):
            shutil.rmtree(leftover)
        hidden = pathlib.Path(tempfile.mkdtemp(prefix=_INCOMPLETE, dir=directory))
    except OSError as error:
        raise type(error)(
            f"`directory`={directory}: can't be written to ({error.strerror}); name one that can, or free space."
        ) from error
    try:
        free = shutil.disk_usage(directory).free
        if free < num_bytes:
            raise OSError(
                f"`directory`={directory}: has room for {free:,} bytes, and {num_bytes:,} are needed at least; free "
                "space or name another directory. Nothing was written."
            )
        try:
            yield hidden
            _seal(hidden)
        except (tf.errors.OpError, OSError) as error:
            message = getattr(error, "message", None) or error
            raise OSError(
                f"`directory`={directory}: could not be written ({message}); free space, and try again. What was there "
                "before is unchanged."
            ) from error
        existing = versions(directory)
        hidden.rename(directory / str(int(existing[-1].name) + 1 if existing else 1))
        _sync(directory)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)  # Not there any more after the renaming.
        with contextlib.suppress(OSError):  # Not empty.
            for made in new:
                made.rmdir()


def remove(folder):
    """Removes a version folder; it is gone at once, its space a little later."""
    hidden = folder.with_name(f"{_INCOMPLETE}{folder.name}")
    folder.rename(hidden)
    shutil.rmtree(hidden)


def verify(folder):
    """Raises ValueError, naming the file, unless a version folder is byte for byte as it was written."""
    remedy = "copy the directory anew, or save the flow once more"
    sums = folder / CHECKSUMS
    try:
        lines = sums.read_bytes().split(b"\n")
    except FileNotFoundError as error:
        raise ValueError(f"{sums} is missing, so that {folder} may be damaged; {remedy}.") from error
    fields = [re.fullmatch(b"([0-9a-f]{64})  ([ -~]+)", line) for line in lines[:-1]]
    if not all(fields) or lines[-1]:
        raise ValueError(f"{sums} is damaged; {remedy}.")
    listed = {f.group(2).decode(): f.group(1).decode() for f in fields if f}
    there = {_relative(folder, path): path for path in _files(folder)}
    for name in sorted(listed.keys() | there.keys()):
        if name not in there:
            raise ValueError(f"{folder / name} is missing, though {CHECKSUMS} lists it; {remedy}.")
        if name not in listed:
            raise ValueError(f"{folder / name} is not listed in {CHECKSUMS}: one of the two is damaged; {remedy}.")
        if _digest(there[name]) != listed[name]:
            raise ValueError(f"{there[name]} is damaged: its SHA-256 is not that in {CHECKSUMS}; {remedy}.")


def _seal(folder):
    """Writes the checksums of all files, and has everything written to the disk."""
    lines = [f"{_digest(path)}  {_relative(folder, path)}\n" for path in _files(folder)]
    (folder / CHECKSUMS).write_text("".join(lines))
    folder.chmod(0o755)  # `mkdtemp` keeps other users, such as a server's, out.
    for path in [*folder.rglob("*"), folder]:
        _sync(path)


def _sync(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _files(folder):
    """All files but the checksums and hidden ones, which file browsers leave behind."""
    paths = (p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))
    return sorted(p for p in paths if p != folder / CHECKSUMS)


def _relative(folder, path):
    return path.relative_to(folder).as_posix()


def _digest(path):
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()
