"""The directory of a run: what belongs to it, and that it belongs to this run."""

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
      directory: where everything of the run lies.
      identity: what the run is: config, data, seed. A checkpoint of another identity is refused.
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
        """Where the bits/dim of a split is written, as JSON."""
        return self.directory / f"result_{split}.json"


def write(path, text):
    """Writes a text file, whole or not at all."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_text(text)
        temporary.replace(path)
    except OSError as error:
        raise OSError(f"{path} can't be written ({error.strerror}); free space, and run the command again.") from error
    finally:
        temporary.unlink(missing_ok=True)


def check_directory(directory):
    """Raises if something else lies there or nothing can be written to it; creates nothing.

    So a command that is refused for another reason, e.g. its data, leaves no trace.
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
    """Raises if nothing can be written to `directory`, which a flag names, or to the `nearest` one that exists."""
    try:
        with tempfile.TemporaryFile(dir=nearest or directory) as file:
            file.write(bytes(4096))  # A file without content can be made on a full disk too.
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
        theirs = json.loads(reader.get_tensor(name).decode())
    except (tf.errors.OpError, IndexError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"checkpoint {path} can't be read: {error}; it is damaged. {_older(manager, path, remedy)}."
        ) from error
    ours = json.loads(json.dumps(run.identity))
    different = sorted(k for k in ours.keys() | theirs.keys() if ours.get(k) != theirs.get(k))
    if different:
        changes = "; ".join(f"{k}: {theirs.get(k)!r} there, {ours.get(k)!r} now" for k in different)
        raise ValueError(f"checkpoint {path} is of another run ({changes}); undo that, or, {remedy}.")
    try:
        checkpoint.restore(path).assert_existing_objects_matched()
    except (tf.errors.OpError, AssertionError, IndexError, ValueError) as error:  # IndexError: a file that ends early.
        first = str(error).strip().split("\n")[0]
        raise ValueError(f"checkpoint {path} can't be restored: {first}. {_older(manager, path, remedy)}.") from error
    return True


def _older(manager, path, remedy):
    older = [c for c in manager.checkpoints if c != path]
    if not older:
        return remedy[0].upper() + remedy[1:]
    pointer = pathlib.Path(path).parent / "checkpoint"
    return f"To go on from {pathlib.Path(older[-1]).name}, make it the model_checkpoint_path in {pointer}; or {remedy}"
