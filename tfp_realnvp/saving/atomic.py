"""Files and folders that appear whole or not at all: they are written under a hidden name, then renamed."""

import contextlib
import os
import pathlib
import shutil
from collections.abc import Iterator

HIDDEN = ".incomplete-"


@contextlib.contextmanager
def written_whole(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a hidden path beside `path`; what the block writes there becomes `path` if the block ends well.

    It becomes `path` by one renaming, after everything is on the disk; a file that was there is replaced. After a
    failure nothing of it is left. After a kill the hidden one may be left, which the next call for `path` removes: one
    writer at a time.
    """
    hidden = hidden_path(path)
    remove(hidden)
    try:
        yield hidden
        for written in [*hidden.rglob("*"), hidden]:
            _sync(written)
        hidden.replace(path)
        _sync(path.parent)
    finally:
        with contextlib.suppress(OSError):  # It would hide the error that matters; the next call tries again.
            remove(hidden)


def hidden_path(path: pathlib.Path) -> pathlib.Path:
    """Returns the name beside `path` under which it is written, or removed."""
    return path.with_name(f"{HIDDEN}{path.name}")


def remove(path: pathlib.Path) -> None:
    """Removes a file or a folder, if there is one."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync(path: pathlib.Path) -> None:
    """Waits until a file or a folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
