"""The directory of a run: the paths in it, and checks that it can be written and belongs to the run."""

import dataclasses
import json
import os
import pathlib
import tempfile

SETTINGS = "settings.json"


@dataclasses.dataclass(frozen=True)
class Run:
    """Paths of a run.

    Attributes:
      directory: holds all files of the run.
      identity: dict of everything that makes this run itself, such as config, data and seed. A checkpoint of another
        identity is refused. Its `versions` are those of the packages, and may change.
    """

    directory: pathlib.Path
    identity: dict

    @property
    def checkpoints(self):
        return self.directory / "checkpoints"

    @property
    def tensorboard(self):
        return self.directory / "tensorboard"

    @property
    def log(self):
        return self.directory / "log.csv"

    @property
    def settings(self):
        return self.directory / SETTINGS

    def result(self, split):
        """Returns the path of the JSON file for the bits/dim of a split."""
        return self.directory / f"result_{split}.json"


def without_versions(identity):
    """Returns an identity as JSON gives it back, without the versions of packages, which a run may change."""
    return {key: value for key, value in json.loads(json.dumps(identity)).items() if key != "versions"}


def write(path, text):
    """Writes a text file, whole or not at all; raises OSError that names the file if that fails."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise OSError(f"{path} can't be written ({error.strerror}); free space, and run the command again.") from error
    finally:
        temporary.unlink(missing_ok=True)


def check_directory(directory):
    """Returns the directory as a path; raises OSError if it holds other files than a run's or can't be written to.

    It creates nothing, so that a command that is refused for another reason, e.g. its data, leaves no trace.
    """
    directory = pathlib.Path(directory)
    nearest = next(d for d in (directory, *directory.absolute().parents) if d.exists())
    if not nearest.is_dir():
        raise NotADirectoryError(f"`run_dir`={directory}: {nearest} is a file; name a directory for the run.")
    if directory.is_dir() and any(directory.iterdir()) and not (directory / "checkpoints").is_dir():
        raise FileExistsError(
            f"`run_dir`={directory}: holds files that are not a run's; name a new or empty directory, or one that a "
            "run has written."
        )
    check_writable("run_dir", directory, nearest)
    return directory


def check_writable(flag, directory, nearest=None):
    """Raises PermissionError if nothing can be written to a directory.

    Args:
      flag: str, name of the flag whose value the directory is.
      directory: str or path.
      nearest: path of the nearest directory above that exists; None if `directory` itself exists.
    """
    try:
        with tempfile.TemporaryFile(dir=nearest or directory) as file:
            file.write(bytes(4096))  # An empty file could be created on a full disk too.
    except OSError as error:
        raise PermissionError(
            f"`{flag}`={directory}: can't be written to ({error.strerror}); name a directory that can, or free space."
        ) from error
