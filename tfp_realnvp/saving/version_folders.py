"""The folders DIRECTORY/1, DIRECTORY/2, ... that TensorFlow Serving looks for; each appears whole or not at all."""

import contextlib
import os
import pathlib
import re
import shutil
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from tfp_realnvp.saving.atomic import HIDDEN, hidden_path, remove, written_whole


def local_path(directory: Any) -> pathlib.Path:
    """Returns the user's `directory` as a path of this machine, its ~ expanded.

    Raises:
      TypeError, ValueError: if it is no path, or a path to another machine's storage.
    """
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


def version_folders(directory: Any) -> list[pathlib.Path]:
    """Returns the version folders in `directory`, the oldest first."""
    directory = local_path(directory)
    found = directory.iterdir() if directory.is_dir() else []
    return sorted((f for f in found if f.is_dir() and f.name.isdecimal()), key=lambda folder: int(folder.name))


@contextlib.contextmanager
def new_version(directory: Any, num_bytes: int) -> Iterator[pathlib.Path]:
    """Yields a hidden folder to write to; it becomes DIRECTORY/N if the block ends well, N one above all versions.

    See `written_whole` for what a failure or a kill leaves.

    Args:
      directory: path; made if it does not exist.
      num_bytes: int, how much room is needed at least.

    Raises:
      TypeError, ValueError: if `directory` is no path on this machine.
      OSError: if there is no room, or nothing can be written.
    """
    directory = local_path(directory)
    made = [d for d in (directory, *directory.parents) if not d.exists()]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for leftover in directory.glob(f"{HIDDEN}*"):
            remove(leftover)
        existing = version_folders(directory)
        free = shutil.disk_usage(directory).free
        if free < num_bytes:
            raise OSError(f"it has room for {free:,} bytes, and {num_bytes:,} are needed at least")
        with written_whole(directory / str(int(existing[-1].name) + 1 if existing else 1)) as folder:
            folder.mkdir()
            yield folder
    except (tf.errors.OpError, OSError) as error:
        message = getattr(error, "message", None) or error
        kind = type(error) if isinstance(error, OSError) else OSError
        raise kind(
            f"`directory`={directory}: could not be written ({message}); free space, or name a directory that can be "
            "written to. What was there before is unchanged."
        ) from error
    finally:
        for empty in made:
            with contextlib.suppress(OSError):  # It is not empty.
                empty.rmdir()


def remove_version(folder: pathlib.Path) -> None:
    """Removes a version folder, which disappears at once, by renaming; its space is freed a little later."""
    hidden = hidden_path(folder)
    folder.rename(hidden)
    remove(hidden)
