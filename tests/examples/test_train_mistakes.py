"""Mistakes with `examples.train` are refused, by messages as `tests/mistakes.py` asks for."""

import dataclasses
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf
from absl import flags
from absl.testing import flagsaver

from examples import config as config_lib
from examples import data as data_lib
from examples import train as program
from examples.workers import ALONE
from tests.mistakes import PIXELS, assert_refused

# The config is tiny, so that no network of any size is built.

TINY = config_lib.Config(
    load=lambda sources: data_lib.ImageData(
        "tiny", "tiny", *3 * [data_lib.ArrayImages(PIXELS)], levels=256, splits=dict.fromkeys(SPLITS, "all")
    ),
    flow=config_lib.Flow(num_scales=1, width=2, residual_blocks=0),
    steps=4,
    evaluations=2,
    batch_size=4,
)
SPLITS = ("train", "validation", "test")


def command(*arguments, config=None):
    """Runs `python -m examples.train` up to where training would begin.

    A `config` takes the place of that of the flags.
    """
    with flagsaver.flagsaver(), pytest.MonkeyPatch.context() as patch:
        if config is not None:
            patch.setattr(config_lib, "get", lambda name: config)
        flags.FLAGS(program.arrange(["train", *arguments]))
        before = contents(flags.FLAGS.run_dir)
        try:
            return program.prepare(ALONE)
        except Exception:
            assert contents(flags.FLAGS.run_dir) == before, "a refused command has written something"
            raise


def contents(directory):
    paths = [pathlib.Path(directory), *pathlib.Path(directory).rglob("*")]
    return {p: p.read_bytes() if p.is_file() else None for p in paths if p.exists()}


def tiny_run(tmp, *arguments, config=TINY):
    return command(f"--run_dir={tmp / 'run'}", *arguments, config=config)


def folder(tmp, *arguments):
    return command("--config=folder", f"--run_dir={tmp / 'run'}", *arguments)


def pictures(directory, count=3, size=32):
    pillow = pytest.importorskip("PIL.Image")
    directory.mkdir()
    for i in range(count):
        noise = np.random.RandomState(i).randint(0, 256, [size, size, 3]).astype(np.uint8)
        pillow.fromarray(noise).save(directory / f"{67 + i}.png")  # The names from 67 to 69 fill every split.
    return directory


def renamed(directory):
    """All names select train."""
    for name, path in zip("abc", sorted(directory.iterdir()), strict=True):
        path.rename(directory / f"{name}.png")
    return directory


def written(path, text=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def spoiled_folder(tmp):
    return written(pictures(tmp / "pictures") / "broken.png", "not a picture").parent


_saved = {}


def saved_run(tmp, steps=(0,)):
    """Writes a run with checkpoints, which is made once and then copied."""
    if steps not in _saved:
        _, opened, lock = tiny_run(tmp)
        lock.release()
        for step in steps:
            opened.model.optimizer.iterations.assign(step)
            opened.manager.save(checkpoint_number=step)
        _saved[steps] = {p.name: p.read_bytes() for p in opened.run.checkpoints.iterdir()}
        shutil.rmtree(opened.run.directory)
    checkpoints = tmp / "run" / "checkpoints"
    checkpoints.mkdir(parents=True)
    for name, content in _saved[steps].items():
        (checkpoints / name).write_bytes(content)
    return checkpoints


def resume_spoiled(tmp, name, spoil, steps=(0,)):
    """Resumes after `spoil` changed the bytes of a file of the newest checkpoint."""
    path = saved_run(tmp, steps) / name
    content = spoil(path.read_bytes())
    path.unlink() if content is None else path.write_bytes(content)
    tiny_run(tmp)


def resume_foreign(tmp):
    directory = str(tmp / "run" / "checkpoints")
    tf.train.CheckpointManager(tf.train.Checkpoint(v=tf.Variable(1.0)), directory, 1, checkpoint_name="step").save()
    tiny_run(tmp)


def resume_as(tmp, *arguments, **changes):
    saved_run(tmp)
    tiny_run(tmp, *arguments, config=dataclasses.replace(TINY, **changes))


def own_config(tmp, text):
    command(f"--config={written(tmp / 'mine.py', text)}", f"--run_dir={tmp / 'run'}")


def half_written_tfds(tmp):
    written(tmp / "tfds" / "cifar10" / "3.0.2.incomplete.XY_3.0.2" / "a")
    written(tmp / "tfds" / "cifar10" / "3.0.2" / "cifar10-train.tfrecord-00000-of-00001")
    command("--config=cifar10_small", f"--run_dir={tmp / 'run'}", f"--data_dir={tmp / 'tfds'}")


def garbled(content):
    return bytes(b ^ 0x5A for b in content)


_BFLOAT16 = """
import tensorflow as tf
from examples.configs import digits

def get_config():
    config = digits.get_config()
    config.flow.compute_dtype = tf.bfloat16
    return config
"""

_NO_IMAGES = """
from examples.config import Config, Flow

def get_config():
    return Config(load=lambda sources: 3, flow=Flow(), steps=1, evaluations=1)
"""

MISTAKES = {
    # These are about flags and data.
    "config": (
        lambda tmp: command("--config=digit", f"--run_dir={tmp / 'run'}"),
        flags.IllegalFlagValueError,
        "`config`='digit'",
        "one of .*digits",
    ),
    "no steps": (lambda tmp: tiny_run(tmp, "--config.steps=0"), ValueError, "`steps`=0", "at least 1"),
    "negative steps": (lambda tmp: tiny_run(tmp, "--config.steps=-3"), ValueError, "`steps`=-3", "at least 1"),
    "steps are none": (lambda tmp: tiny_run(tmp, "--config.steps=none"), ValueError, "`steps`=None", "at least 1"),
    "steps are no number": (
        lambda tmp: tiny_run(tmp, "--config.steps=many"),
        flags.IllegalFlagValueError,
        "--config.steps=many",
        "int",
    ),
    "no learning rate": (
        lambda tmp: tiny_run(tmp, "--config.learning_rate=0"),
        ValueError,
        "`learning_rate`=0.0",
        "above 0",
    ),
    "averaging": (lambda tmp: tiny_run(tmp, "--config.averaging=2"), ValueError, "`averaging`=2.0", "in .0, 1."),
    "width": (lambda tmp: tiny_run(tmp, "--config.flow.width=0"), ValueError, "`width`=0", "at least 1"),
    "unknown field": (
        lambda tmp: tiny_run(tmp, "--config.flow.widht=8"),
        flags.IllegalFlagValueError,
        "--config.flow.widht",
        "Is it config.flow.width.*steps, .*flow.preset",
    ),
    "field that is no value": (
        lambda tmp: tiny_run(tmp, "--config.load=x"),
        flags.IllegalFlagValueError,
        "--config.load",
        "There are",
    ),
    "config of one's own is missing": (
        lambda tmp: command(f"--config={tmp / 'mine.py'}", f"--run_dir={tmp / 'run'}"),
        flags.IllegalFlagValueError,
        r"`config`='.*mine\.py'.*no such file",
        "name one",
    ),
    "config of one's own has a type in it": (
        lambda tmp: own_config(tmp, _BFLOAT16),
        flags.IllegalFlagValueError,
        r"mine\.py'.*`compute_dtype`=tf.bfloat16",
        "'bfloat16'",
    ),
    "what one's own config loads": (
        lambda tmp: own_config(tmp, _NO_IMAGES),
        TypeError,
        r"`load` of the config mine\.py returned 3",
        "ImageData",
    ),
    "nothing to condition on in one's own data": (
        lambda tmp: tiny_run(tmp, "--conditional"),
        ValueError,
        "`conditional`=True: .* no conditioning",
        "leave the flag out",
    ),
    "weights of no run": (
        lambda tmp: tiny_run(tmp, "--init_weights=last"),
        ValueError,
        "`init_weights`=last",
        "--init_from=RUN",
    ),
    "config of one's own fails": (
        lambda tmp: own_config(tmp, "def get_config():\n    return widht\n"),
        flags.IllegalFlagValueError,
        r"mine\.py'.*NameError.*widht",
    ),
    "config of one's own is none": (
        lambda tmp: own_config(tmp, "def get_config():\n    return {'steps': 3}\n"),
        flags.IllegalFlagValueError,
        r"mine\.py'.*returned {'steps': 3}",
        "examples.config.Config",
        "begin with",
    ),
    "negative seed": (
        lambda tmp: tiny_run(tmp, "--seed=-1"),
        flags.IllegalFlagValueError,
        "--seed=-1",
        r"in the range",
    ),
    "missing data_dir": (
        lambda tmp: command("--config=cifar10", f"--run_dir={tmp / 'run'}", f"--data_dir={tmp / 'typo'}"),
        FileNotFoundError,
        "`data_dir`='.*typo'",
        "create it",
    ),
    "data to be fetched by hand": (
        lambda tmp: command("--config=imagenet32", f"--run_dir={tmp / 'run'}", f"--data_dir={tmp}"),
        FileNotFoundError,
        "train_32x32.tar",
        "downloads/manual",
    ),
    "nothing to condition on": (
        lambda tmp: command("--config=photo_patches", f"--run_dir={tmp / 'run'}", "--conditional"),
        ValueError,
        "`conditional`=True",
        "neither classes nor attributes",
    ),
    "unfinished data_dir": (half_written_tfds, ValueError, "`data_dir`.*cifar10", "unfinished or damaged", "delete"),
    "no folder": (folder, ValueError, "`folder`=None", "--folder=PATH"),
    "missing folder": (
        lambda tmp: folder(tmp, f"--folder={tmp / 'typo'}"),
        FileNotFoundError,
        "typo",
        "give a directory",
    ),
    "folder is a file": (
        lambda tmp: folder(tmp, f"--folder={written(tmp / 'a.png')}"),
        NotADirectoryError,
        r"a\.png",
        "give the directory",
    ),
    "empty folder": (
        lambda tmp: folder(tmp, f"--folder={pictures(tmp / 'pictures', 0)}"),
        ValueError,
        "pictures'",
        "holds 0.*at least 3.*add some",
    ),
    "broken picture": (
        lambda tmp: folder(tmp, f"--folder={spoiled_folder(tmp)}"),
        ValueError,
        r"picture '.*broken\.png'",
        "repair or remove",
    ),
    "no picture to test on": (
        lambda tmp: folder(tmp, f"--folder={renamed(pictures(tmp / 'pictures'))}"),
        ValueError,
        "pictures': none of its 3 pictures is for validation or test",
        "each split must have one",
        "add pictures, or rename '",
    ),
    "pictures without a class": (
        lambda tmp: folder(tmp, f"--folder={pictures(tmp / 'pictures')}", "--conditional"),
        ValueError,
        "`conditional`=True",
        "itself holds 3 of 3",
        "move them there, or leave",
    ),
    "pictures larger than any": (
        lambda tmp: folder(tmp, f"--folder={pictures(tmp / 'pictures')}", "--image_size=9000"),
        ValueError,
        "`size`=9000",
        "at most 8192",
        "lower it",
    ),
    "picture size 0": (
        lambda tmp: folder(tmp, "--image_size=0"),
        flags.IllegalFlagValueError,
        "--image_size=0",
        "positive",
    ),
    "picture size": (
        lambda tmp: folder(tmp, f"--folder={pictures(tmp / 'pictures')}", "--image_size=30"),
        ValueError,
        "30x30",
        "divisible by 4",
        "another --image_size, e.g. --image_size=28",
    ),
    "batch larger than the data": (
        lambda tmp: folder(tmp, f"--folder={pictures(tmp / 'pictures', 5)}"),
        ValueError,
        "`batch_size`=64",
        "3; add images",
    ),
    "no TPU": (lambda tmp: tiny_run(tmp, "--strategy=tpu", "--tpu=no"), ValueError, "`tpu`='no'", "another --strategy"),
    # These are about the directory and checkpoints.
    "run_dir is a file": (
        lambda tmp: command(f"--run_dir={written(tmp / 'run.txt')}", config=TINY),
        NotADirectoryError,
        r"`run_dir`=.*run\.txt",
        "name a directory",
    ),
    "run_dir below a file": (
        lambda tmp: command(f"--run_dir={written(tmp / 'run.txt') / 'a' / 'b'}", config=TINY),
        NotADirectoryError,
        r"`run_dir`=.*run\.txt",
        "name a directory",
    ),
    "run_dir can't be written": (
        # Root may write to any folder whatever chmod says, but not to this one.
        lambda _: command("--run_dir=/proc/self/run", config=TINY),
        PermissionError,
        "`run_dir`=/proc/self/run",
        "name a directory that can",
    ),
    "run_dir of others": (
        lambda tmp: command(f"--run_dir={written(tmp / 'photos' / 'a.txt').parent}", config=TINY),
        FileExistsError,
        "`run_dir`=.*photos",
        "name a new or empty directory",
    ),
    "truncated checkpoint": (
        lambda tmp: resume_spoiled(tmp, "step-0.data-00000-of-00001", lambda content: content[: len(content) // 2]),
        ValueError,
        "checkpoint .*step-0",
        "delete .*run",
    ),
    "garbled checkpoint": (
        lambda tmp: resume_spoiled(tmp, "step-0.data-00000-of-00001", garbled),
        ValueError,
        "checkpoint .*step-0",
        "delete .*run",
    ),
    "garbled index": (
        lambda tmp: resume_spoiled(tmp, "step-0.index", garbled),
        ValueError,
        "checkpoint .*step-0 can't be read",
        "delete .*run",
    ),
    "truncated index": (
        lambda tmp: resume_spoiled(tmp, "step-0.index", lambda content: content[:9]),
        ValueError,
        "checkpoint .*step-0 can't be read",
        "delete .*run",
    ),
    "newest of two checkpoints is damaged": (
        lambda tmp: resume_spoiled(tmp, "step-2.data-00000-of-00001", garbled, steps=(0, 2)),
        ValueError,
        "checkpoint .*step-2",
        "To go on from step-0, make it the model_checkpoint_path",
    ),
    "checkpoint is gone": (
        lambda tmp: resume_spoiled(tmp, "step-0.index", lambda content: None),
        ValueError,
        "checkpoint .*step-0 can't be read",
        "delete .*run",
    ),
    "list of checkpoints is gone": (
        lambda tmp: resume_spoiled(tmp, "checkpoint", lambda content: None, steps=(0, 2)),
        ValueError,
        "checkpoints/checkpoint is missing",
        'model_checkpoint_path: "step-2"',
    ),
    "list of checkpoints is garbled": (
        lambda tmp: resume_spoiled(tmp, "checkpoint", lambda content: b"\0\1\2", steps=(0, 2)),
        ValueError,
        "checkpoints/checkpoint is missing or damaged",
        'model_checkpoint_path: "step-2"',
    ),
    "list of checkpoints is no text": (
        lambda tmp: resume_spoiled(tmp, "checkpoint", lambda content: b"\xff\xfe" + content, steps=(0, 2)),
        ValueError,
        "checkpoints/checkpoint is missing or damaged",
        'model_checkpoint_path: "step-2"',
    ),
    "list of checkpoints is empty": (
        lambda tmp: resume_spoiled(tmp, "checkpoint", lambda content: b"", steps=(2, 4, 12)),
        ValueError,
        "intact beside it: step-12, step-4, step-2",
        'model_checkpoint_path: "step-12"',
    ),
    "foreign checkpoint": (
        resume_foreign,
        ValueError,
        "checkpoint .*step-1 was not written by examples.train",
        "name another `run_dir`",
    ),
    "checkpoint of another seed": (
        lambda tmp: resume_as(tmp, "--seed=3"),
        ValueError,
        "another run .seed: 0 there, 3 now",
        "train so in another `run_dir`",
    ),
    "checkpoint of another flow": (
        lambda tmp: resume_as(tmp, "--config.flow.width=3"),
        ValueError,
        r"another run .flow\.width: 2 there, 3 now",
        "another `run_dir`, with --init_from=.*run",
    ),
    "checkpoint of another config": (
        lambda tmp: resume_as(tmp, "--config=cifar10"),
        ValueError,
        "config: 'digits' there, 'cifar10' now",
        "train so in another `run_dir`",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_refused(name, tmp_path):
    assert_refused(name, MISTAKES[name], tmp_path)
