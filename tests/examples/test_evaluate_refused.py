"""`python -m examples.evaluate` refuses damaged runs and wrong flags in one line, and changes no file of the run."""

import dataclasses
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from examples import config, experiment
from tests.examples.commands import (
    ENVIRONMENT,
    assert_refused,
    contents,
    damaged,
    finished,
    opened,
    result,
    settings,
)

pytest.importorskip("sklearn")

PROGRAM = "evaluate"


@pytest.fixture
def run(run):
    """A copy of the run, without the result of its training."""
    (run / "result_test.json").unlink()
    return run


def no_checkpoint(run):
    shutil.rmtree(run / "checkpoints")


def value(**changes):
    """Changes values of the config in the settings of the run."""

    def changed(content):
        fields = json.loads(content)
        return json.dumps({**fields, "values": fields["values"] | changes}).encode()

    return damaged("settings.json", changed)


WRONG = {
    "settings cut short": (damaged("settings.json", lambda c: c[:20]), ["settings.json is damaged", "once more"]),
    "settings of bytes": (damaged("settings.json", lambda c: b"\xff\0"), ["settings.json is damaged", "once more"]),
    "settings a list": (damaged("settings.json", lambda c: b"[]"), ["settings.json is damaged", "once more"]),
    "unknown setting": (settings(batch=3), ["settings.json is damaged", "'batch'", "once more"]),
    "unknown source": (settings(sources={"cloud": 1}), ["settings.json is damaged", "'cloud'", "once more"]),
    "data_dir is a number": (settings(sources={"data_dir": 1}), ["settings.json is damaged", "once more"]),
    "unknown config": (settings(config="digit"), ["`config`='digit': must be one of celeba"]),
    "config is a number": (settings(config=3), ["settings.json is damaged", "`config`=3: must be text"]),
    "steps are text": (value(steps="4"), ["settings.json is damaged", "`steps`='4': must be an int"]),
    "unknown value": (value(speed=4), ["settings.json is damaged", "speed", "once more"]),
    "no values": (settings(values={}), ["settings.json is damaged", "once more"]),
    "init_from is text": (settings(init_from="runs/a"), ["settings.json is damaged", "once more"]),
    "data_dir is gone": (
        settings(config="cifar10", sources={"data_dir": "/absent"}),
        ["`data_dir`='/absent': no such directory"],
    ),
    "another seed": (
        settings(seed=7),
        ["step-60 is of another run (seed: 0 there, 7 now); undo that, or train so in another"],
    ),
    "a huge flow": (
        value(flow=dataclasses.asdict(config.Flow(num_scales=1, width=2**15, residual_blocks=1))),
        ["has more variables than any checkpoint"],
    ),
    "no checkpoint": (
        no_checkpoint,
        ["holds no checkpoint; train it first: python -m examples.train"],
    ),
    "checkpoint cut short": (
        damaged("checkpoints/step-60.data-00000-of-00001", lambda c: c[: len(c) // 2]),
        ["step-60 can't be", "To go on from step-0"],
    ),
    "garbled index": (
        damaged("checkpoints/step-60.index", lambda c: bytes(len(c))),
        ["step-60 can't be read", "To go on from step-0"],
    ),
    "garbled list": (damaged("checkpoints/checkpoint", lambda c: b"\0"), ["is missing or damaged", "step-60"]),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_run(name, run, commands):
    prepare, texts = WRONG[name]
    prepare(run)
    before = contents(run)
    assert_refused(commands(f"--run={run}"), str(run) if "settings" in name else "", *texts)
    assert contents(run) == before


def test_weights_that_are_not_finite(run, commands):
    spoilt = opened(run)
    v = next(v for v in spoilt.model.distribution.variables if "checkerboard_1/output_norm" in v.name)
    v.assign(v * np.nan)
    spoilt.manager.save(checkpoint_number=60)
    texts = "step-60: `distribution`: its variable 'real_nvp_image/level_0/checkerboard_1/output_norm", "not finite"
    assert_refused(commands(f"--run={run}"), *texts)
    with pytest.raises(ValueError, match=texts[0]):  # All commands open a run so, those that sample too.
        opened(run, experiment.open_run)


def test_config_changed_since(run, commands):
    """A run keeps the values that it was trained with."""
    changed = "other = dataclasses.replace(small, batch_size=32)\npatch.setattr(config, 'get', lambda name: other)"
    finished(commands(f"--run={run}", "--images=2", setup=changed))
    assert result(run)["values"]["batch_size"] == 64


def test_no_run(commands, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("text")
    for name in ("absent", "empty", "file"):
        message = f"`run`={tmp_path / name}: no run of examples.train, which would have settings.json, nor an export"
        assert_refused(commands(f"--run={tmp_path / name}"), message)
    assert {path.name for path in tmp_path.rglob("*")} == {"empty", "file"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--split=foo"], "flag --split=foo: value should be one of <train|validation|test>"),
        (["--noise_draws=0"], "flag --noise_draws=0"),
        (["--importance_samples=0"], "flag --importance_samples=0"),
        (["--images=0"], "flag --images=0"),
        (["--recalibrate=-1"], "flag --recalibrate=-1"),
        (["--smaples=1"], "Unknown command line flag 'smaples'"),
        (["run"], "unexpected arguments ['run']: flags are written --name=value"),
    ],
    ids=str,
)
def test_refused_flag(arguments, message, run, commands):
    done = commands(f"--run={run}", *arguments)
    assert done.returncode == 1
    assert message in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert not (run / "result_test.json").exists()


UNROUNDED = """
open_run = experiment.open_run

def unrounded(*arguments, **moved):
    opened = open_run(*arguments, **moved)
    return dataclasses.replace(opened, images=dataclasses.replace(opened.images, whole=False))

patch.setattr(experiment, "open_run", unrounded)
"""


@pytest.mark.parametrize("flag", ["noise_draws", "importance_samples"])
def test_several_draws_without_noise(flag, run, commands):
    assert_refused(
        commands(f"--run={run}", f"--{flag}=2", setup=UNROUNDED), f"`{flag}`=2: must be 1 for digits", "leave it out"
    )
    assert not (run / "result_test.json").exists()


FULL = "resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, limits[1]))"
FULL_LATER = """
measured = evaluation.evaluate

def evaluate_all(*arguments, **options):
    found = measured(*arguments, **options)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    return found

patch.setattr(evaluation, "evaluate", evaluate_all)
"""


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_full_disk(when, run, commands):
    (run / "result_test.json").write_text("an older one")
    before = contents(run)
    if when == "before":  # The command is refused before any work.
        setup = "patch.setattr(evaluation, 'evaluate', None)\n" + FULL.format(room=0)
        message = f"`run`={run}: can't be written to (File too large); name a directory that can, or free space."
    else:
        setup = FULL_LATER
        message = f"{run / 'result_test.json'} can't be written (File too large); free space"
    assert_refused(commands(f"--run={run}", setup=setup), message)
    assert contents(run) == before


FAILING = """
import tensorflow as tf

def fail(*arguments, **options):
    raise tf.errors.{error}(None, None, "Graph execution error:\\n\\nDetected at node\\n  it")

patch.setattr(evaluation, "evaluate", fail)
"""


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("DataLossError", "): a file could not be read, but now all can; run again."),
        ("ResourceExhaustedError", "error: Graph execution error: Detected at node it"),
    ],
)
def test_errors_of_tensorflow_in_one_line(error, message, run, commands):
    assert_refused(commands(f"--run={run}", setup=FAILING.format(error=error)), message)


INTERRUPTED = """
from tfp_realnvp import FlowModel
predict = FlowModel.predict

def interrupted(*arguments, draw, **options):
    if draw == 1:
        os.kill(os.getpid(), signal.SIGINT)
    return predict(*arguments, draw=draw, **options)

patch.setattr(FlowModel, "predict", interrupted)
"""


def test_ctrl_c(run, commands):
    (run / "result_test.json").write_text("an older one")
    before = contents(run)
    done = commands(f"--run={run}", "--noise_draws=3", "--per_image", setup=INTERRUPTED)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "stopped; no result was written\n")
    assert contents(run) == before


def test_refused_as_a_program(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "examples.evaluate", "--run=absent"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    message = (
        "error: `run`=absent: no run of examples.train, which would have settings.json, nor an export of one; name"
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith(message)
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
