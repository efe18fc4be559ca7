"""Makes small runs of `examples.train`, and asserts what must be true of their files."""

import dataclasses
import sys

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import flagsaver

from examples import command
from examples import config as config_lib
from examples import train as program
from tests.examples.commands import SMALL, result, run_python

# Gives the small run of `tests.examples.commands` two intervals of four steps.
TWO_INTERVALS = """
two_intervals = dataclasses.replace(small, steps=8, evaluations=2)
patch.setattr(config, "get", lambda name: two_intervals)
"""

# Executes a statement when a callback gets this call: at a step, or at a batch of the evaluation after it.
AT_A_CALL = """
from examples import logs

def {hook}(self, *args, **kwargs):
    if logs.step_of(self.model) == {step}:
        {statement}

patch.setattr(logs.Progress, "{hook}", {hook})
"""

# Where a checkpoint has the weights and statistics of a model, and their averages, by number.
WEIGHTS, AVERAGES = "model/likelihood/averages/_sources/", "model/_averages_group/members/"


def at_step(step, statement, hook="on_train_batch_end"):
    """The setup of a run of eight steps that executes this after a step, or in the evaluation after it."""
    return TWO_INTERVALS + AT_A_CALL.format(step=step, statement=statement, hook=hook)


# Trains, and then ends the process.
APART = """
import pytest
from examples import train

patch = pytest.MonkeyPatch()
{setup}
command.run(train.main, train.arrange)
"""


def run_apart(directory, setup=TWO_INTERVALS, arguments=()):
    """Trains in a process of its own, which may be killed; returns what became of it."""
    return run_python(SMALL + APART.format(setup=setup), f"--run_dir={directory}", *arguments)


def run_here(config, *arguments):
    """Trains with this `Config` in the process of the tests; raises SystemExit as the command would."""
    with flagsaver.flagsaver(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(config_lib, "get", lambda name: config)
        patch.setattr(sys, "argv", ["train", *arguments])
        program.main(command.parse(sys.argv, program.arrange))


def narrow(name, num_scales=None, **changes):
    """The config of that name with little width, and with its scales unless told otherwise."""
    config = config_lib.get(name)
    scales = {} if num_scales is None else {"num_scales": num_scales}
    flow = dataclasses.replace(config.flow, **scales, width=2, residual_blocks=0)
    return dataclasses.replace(config, flow=flow, **{"steps": 2, "evaluations": 1, "validation_images": 64} | changes)


def tensors(checkpoint):
    """Everything that was saved: weights, statistics, averages, optimizer slots, metrics, counters."""
    reader = tf.train.load_checkpoint(str(checkpoint))
    names = [n for n in reader.get_variable_to_shape_map() if n != "_CHECKPOINTABLE_OBJECT_GRAPH"]
    # How often a run was saved, and how long it took, are no part of its state.
    saved = {n: np.asarray(reader.get_tensor(n)) for n in names if not n.startswith(("save_counter", "seconds"))}
    assert len(saved) > 50
    return saved


def assert_same_end(directory, other, step=8):
    ours, theirs = (tensors(d / "checkpoints" / f"step-{step}") for d in (directory, other))
    assert ours.keys() == theirs.keys()
    for part in ("model/optimizer/_variables/", AVERAGES, WEIGHTS):
        assert any(name.startswith(part) for name in ours)
    for name, value in ours.items():
        if value.dtype.kind == "f":
            np.testing.assert_allclose(value, theirs[name], rtol=1e-6, atol=1e-6, err_msg=name)
        else:
            np.testing.assert_array_equal(value, theirs[name], err_msg=name)
    assert (directory / "log.csv").read_text() == (other / "log.csv").read_text()
    assert result(directory)["bits_per_dim"] == pytest.approx(result(other)["bits_per_dim"], abs=1e-6)


def assert_finite(checkpoint):
    assert all(np.isfinite(v).all() for v in tensors(checkpoint).values() if v.dtype.kind == "f")


def assert_sheets(directory, *steps):
    """The pictures decode and show something."""
    for name in ("data.png", *(f"samples_{step:07d}.png" for step in steps)):
        sheet = tf.io.decode_png((directory / name).read_bytes()).numpy()
        assert sheet.shape[-1] == 3
        assert len(np.unique(sheet)) > 3, name
