"""The directory of a run: the paths in it, and checks that it can be written and belongs to the run."""

import dataclasses
import json
import pathlib
import tempfile

import tensorflow as tf

SETTINGS = "settings.json"


@dataclasses.dataclass(frozen=True)
class Run:
    """Paths of a run.

    Attributes:
      directory: holds all files of the run.
      identity: dict of everything that makes this run itself, such as config, data and seed. A checkpoint of another
        identity is refused.
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


def write(path, text):
    """Writes a text file, whole or not at all; raises OSError that names the file if that fails."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_text(text)
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


def restore(run, checkpoint, manager):
    """Restores the newest checkpoint of the run into `checkpoint`; returns whether there was one.

    Raises:
      ValueError: if the checkpoint can't be read, or was written by a run of another identity.
    """
    path = manager.latest_checkpoint
    remedy = f"to train anew, name another `run_dir` or delete {run.directory}"
    if path is None:
        written = sorted(run.checkpoints.glob("step-*.index"))
        if written:
            raise ValueError(
                f"{run.checkpoints / 'checkpoint'} is missing or damaged and names no checkpoint, though there is "
                f'{written[-1].stem}; write model_checkpoint_path: "{written[-1].stem}" to it to go on, or {remedy}.'
            )
        return False
    try:
        reader = tf.train.load_checkpoint(path)
        name = "identity/.ATTRIBUTES/VARIABLE_VALUE"
        if not reader.has_tensor(name):
            raise ValueError(f"checkpoint {path} was not written by examples.train; {remedy}.")
        saved = json.loads(reader.get_tensor(name).decode())
    except (tf.errors.OpError, IndexError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"checkpoint {path} can't be read: {error}; it is damaged. {_advice(manager, path, remedy)}."
        ) from error
    current = json.loads(json.dumps(run.identity))
    changed = sorted(k for k in current.keys() | saved.keys() if current.get(k) != saved.get(k))
    if changed:
        changes = "; ".join(f"{k}: {saved.get(k)!r} there, {current.get(k)!r} now" for k in changed)
        raise ValueError(f"checkpoint {path} is of another run ({changes}); undo that, or, {remedy}.")
    try:
        checkpoint.restore(path).assert_existing_objects_matched()
    except (tf.errors.OpError, AssertionError, IndexError, ValueError) as error:  # IndexError: a file ends early.
        first = str(error).strip().split("\n")[0]
        raise ValueError(f"checkpoint {path} can't be restored: {first}. {_advice(manager, path, remedy)}.") from error
    return True


def _advice(manager, path, remedy):
    """Returns advice: to go on from the newest other checkpoint, if there is one, or else the remedy."""
    older = [c for c in manager.checkpoints if c != path]
    if not older:
        return remedy[0].upper() + remedy[1:]
    pointer = pathlib.Path(path).parent / "checkpoint"
    return f"To go on from {pathlib.Path(older[-1]).name}, make it the model_checkpoint_path in {pointer}; or {remedy}"
