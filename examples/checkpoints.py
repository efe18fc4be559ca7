"""The checkpoints of a run: the newest is restored, and what kills have left beside them is removed."""

import contextlib
import json
import pathlib
import re
import shutil

import tensorflow as tf

from examples import run as run_lib
from examples.workers import ALONE

# What reading a damaged checkpoint raises; IndexError: a file ends early.
DAMAGE = (tf.errors.OpError, IndexError, UnicodeDecodeError, ValueError)
_SLACK = 2**20  # bytes of variables that are in no checkpoint
_FILE = re.compile(r"step-(\d+)\.(index|data-\d+-of-\d+)")


class OthersManager:
    """The `tf.train.CheckpointManager` of a worker that is not the chief, which alone writes.

    It needs no other worker for that: no variable of a model is a sum over replicas.
    """

    def __init__(self, run, checkpoint, newest):
        """Args: newest: str, the checkpoint that the chief begins with, or None."""
        self.checkpoint, self.latest_checkpoint = checkpoint, newest
        self.directory = str(run.checkpoints)

    def save(self, checkpoint_number):
        """Notes what the chief saves."""
        self.latest_checkpoint = f"{self.directory}/step-{checkpoint_number}"


def manager(run, checkpoint, workers=ALONE, newest=None):
    """Returns the `tf.train.CheckpointManager` of a run; raises ValueError if what names its checkpoints is damaged.

    Args:
      run: `Run`.
      checkpoint: `tf.train.Checkpoint`.
      workers: `Workers`.
      newest: str, the checkpoint that the chief begins with, or None; for the other workers.
    """
    if not workers.is_chief:
        return OthersManager(run, checkpoint, newest)
    try:
        found = tf.train.CheckpointManager(checkpoint, str(run.checkpoints), max_to_keep=3, checkpoint_name="step")
    except DAMAGE as error:  # The file `checkpoint` is no text.
        raise _pointer_error(run) from error
    if found.latest_checkpoint is None and any(_steps(run.checkpoints)):  # Step 0 is made again as it was.
        raise _pointer_error(run)
    return found


def newest(directory):
    """Returns the newest checkpoint in a directory, or None, also where `manager` would say that it is damaged."""
    try:
        return tf.train.latest_checkpoint(directory)
    except DAMAGE:
        return None


def restore(run, checkpoint, path):
    """Restores the checkpoint `path` of the run; returns words on versions that have changed since, or "".

    Args:
      run: `Run`.
      checkpoint: `tf.train.Checkpoint` with the variable `identity`.
      path: str, the newest checkpoint of its manager.

    Raises:
      ValueError: if the checkpoint can't be read, or was written by a run of another identity.
    """
    try:
        saved = identity_in(path)
    except DAMAGE as error:
        raise ValueError(f"checkpoint {path} can't be read: {error}; it is damaged. {_advice(run, path)}.") from error
    if not saved:
        raise ValueError(f"checkpoint {path} was not written by examples.train; {_remedy(run)}.")
    remedy = f"train so in another `run_dir`, with --init_from={run.directory} if it is to begin with these weights"
    check_identity(f"checkpoint {path}", saved, run.identity, remedy)
    try:
        checkpoint.restore(path).assert_existing_objects_matched()
    except (*DAMAGE, AssertionError) as error:
        first = str(error).strip().split("\n")[0]
        raise ValueError(f"checkpoint {path} can't be restored: {first}. {_advice(run, path)}.") from error
    checkpoint.identity.assign(json.dumps(run.identity))
    then, now = saved.get("versions", {}), run.identity["versions"]
    return ", ".join(f"{k} {then.get(k)} there, {now[k]} now" for k in now if now[k] != then.get(k))


@contextlib.contextmanager
def no_larger_than_saved(run):
    """Within the block, variables of more bytes than the largest checkpoint raise ValueError before they are made.

    Without a checkpoint there is no limit.
    """
    saved = max((path.stat().st_size for path in run.checkpoints.glob("step-*.data-*")), default=None)
    if saved is None:
        yield
        return
    left = saved + _SLACK

    def creator(next_creator, **options):
        nonlocal left
        shape, dtype = options.get("shape"), options.get("dtype")
        if shape is not None and dtype is not None:
            left -= (tf.TensorShape(shape).num_elements() or 0) * tf.as_dtype(dtype).size
        if left < 0:
            raise ValueError(
                f"the flow of {run.settings} has more variables than any checkpoint in {run.checkpoints}: they are of "
                "another run, or damaged; name another `run_dir`, or copy the run anew."
            )
        return next_creator(**options)

    with tf.variable_creator_scope(creator):
        yield


def check_identity(what, saved, identity, remedy):
    """Raises ValueError if `what` was saved by a run of another identity, versions excepted."""
    then, now = (_flat(run_lib.without_versions(identity)) for identity in (saved, identity))
    changed = sorted(k for k in now.keys() | then.keys() if now.get(k) != then.get(k))
    if changed:
        changes = "; ".join(f"{k}: {then.get(k)!r} there, {now.get(k)!r} now" for k in changed)
        raise ValueError(f"{what} is of another run ({changes}); undo that, or {remedy}.")


def _flat(identity):
    """Returns an identity with the values of the dicts in it, e.g. `flow.width`, so that changes are named singly."""
    flat: dict = {}
    for name, value in identity.items():
        flat |= {f"{name}.{k}": v for k, v in value.items()} if isinstance(value, dict) else {name: value}
    return flat


def identity_in(path):
    """Returns the identity of the run that wrote a checkpoint, empty if it was not written by `examples.train`.

    Raises:
      One of `DAMAGE`: if the checkpoint can't be read.
    """
    reader = tf.train.load_checkpoint(path)
    name = "identity/.ATTRIBUTES/VARIABLE_VALUE"
    return json.loads(reader.get_tensor(name).decode()) if reader.has_tensor(name) else {}


def step_of_path(path):
    """Returns the step in the path of a checkpoint."""
    return int(pathlib.Path(path).name.removeprefix("step-"))


def tidy(run, manager, step):
    """Removes what kills have left: unfinished files, and sheets and checkpoints after `step`, which will come again.

    A checkpoint that the manager knows is kept. Only the process that holds the run's lock may call this.
    """
    known = {pathlib.Path(path).name for path in manager.checkpoints}
    for path in [*run.directory.glob(".*.tmp"), *run.checkpoints.glob("checkpoint.tmp*")]:
        path.unlink()
    for path in run.checkpoints.glob("step-*_temp"):  # A folder.
        shutil.rmtree(path)
    for path in run.directory.glob("samples_*.png"):
        number = path.stem.removeprefix("samples_")
        if number.isdecimal() and int(number) > step:
            path.unlink()
    for path in run.checkpoints.iterdir():
        name = path.name.partition(".")[0]
        if _FILE.fullmatch(path.name) and name not in known:
            later = step_of_path(name) > step
            if later or not path.with_name(f"{name}.index").exists():
                path.unlink()


def _steps(directory):
    """Returns the sorted steps of the checkpoints in a directory."""
    found = (re.fullmatch(r"step-(\d+)\.index", path.name) for path in directory.glob("step-*.index"))
    return sorted(int(match[1]) for match in found if match)


def _intact(directory, other_than=""):
    """Returns the names of the checkpoints that can be read to their end, the newest first."""
    names = []
    for step in reversed(_steps(directory)):
        path = directory / f"step-{step}"
        try:
            reader = tf.train.load_checkpoint(str(path))
            for name in reader.get_variable_to_shape_map():
                reader.get_tensor(name)
        except DAMAGE:
            continue
        if path.name != other_than:
            names.append(path.name)
    return names


def _pointer_error(run):
    pointer, intact = run.checkpoints / "checkpoint", _intact(run.checkpoints)
    remedy = _remedy(run)
    if not intact:
        return ValueError(f"{pointer} is missing or damaged, and no checkpoint beside it is intact; {remedy}.")
    line = f'model_checkpoint_path: "{intact[0]}"'
    return ValueError(
        f"{pointer} is missing or damaged and names no checkpoint; intact beside it: {', '.join(intact)}. To go on "
        f"from the newest, let the file be this one line: {line}; or {remedy}."
    )


def _advice(run, path):
    """Returns advice: to go on from the newest intact checkpoint but `path`, if there is one, or else to train anew."""
    remedy = _remedy(run)
    intact = _intact(run.checkpoints, other_than=pathlib.Path(path).name)
    if not intact:
        return remedy[0].upper() + remedy[1:]
    pointer = pathlib.Path(path).parent / "checkpoint"
    return f"To go on from {intact[0]}, make it the model_checkpoint_path in {pointer}; or {remedy}"


def _remedy(run):
    return f"to train anew, name another `run_dir` or delete {run.directory}"
