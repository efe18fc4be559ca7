"""Whenever a training run is stopped, the same command makes all that a run without a stop would have made."""

import pathlib
import shutil
import signal

import pytest

from examples import checkpoints
from examples import lock as lock_lib
from examples import run as run_lib
from tests.examples.commands import finished
from tests.examples.training_runs import TWO_INTERVALS, assert_same_end, assert_sheets, at_step, run_apart

pytest.importorskip("sklearn")

PROGRAM = "train"
WHOLE_INTERVALS = """
two_intervals = dataclasses.replace(two_intervals, steps_per_execution=4)
"""


def files(directory):
    """The names of all files that a run has besides those of TensorBoard."""
    found = (path.relative_to(directory) for path in directory.rglob("*") if path.is_file())
    return sorted(str(path) for path in found if path.parts[0] != "tensorboard")


def assert_nothing_lost(directory, whole):
    assert_same_end(directory, whole[0])
    assert_sheets(directory, 0, 4, 8)
    for name in ("samples_0000000.png", "samples_0000004.png", "samples_0000008.png", "data.png"):
        assert (directory / name).read_bytes() == (whole[0] / name).read_bytes()
    assert no_checkpoint(files(directory)) == no_checkpoint(files(whole[0]))
    # Three checkpoints are kept, whole; one may be that of a stop amid an interval.
    kept = [name for name in files(directory) if "/step-" in name]
    endings = ("index", "data-00000-of-00001")
    assert set(kept) == {f"{name.partition('.')[0]}.{ending}" for name in kept for ending in endings}
    assert len(kept) == 6


def no_checkpoint(names):
    return [name for name in names if "/step-" not in name]


# What a stop at this moment leaves: the step to resume at.
STOPS = {
    "SIGTERM at the last batch": ("SIGTERM", 4, "on_train_batch_end", 4),
    "SIGTERM in validation": ("SIGTERM", 4, "on_test_batch_end", 4),
    "SIGHUP amid an interval": ("SIGHUP", 6, "on_train_batch_end", 6),
    "SIGINT at the last batch of all": ("SIGINT", 8, "on_train_batch_end", 8),
}


@pytest.mark.parametrize("name", STOPS)
def test_stopped(name, whole, commands, tmp_path):
    number, step, hook, resumed_at = STOPS[name]
    directory = tmp_path / "run"
    setup = at_step(step, f"os.kill(os.getpid(), signal.{number})", hook)
    stopped = commands(f"--run_dir={directory}", setup=setup)
    assert (stopped.returncode, stopped.stderr) == (130, "")
    assert f"the same command resumes from {directory / 'checkpoints' / f'step-{resumed_at}'}" in stopped.stdout
    assert f"resuming at step {resumed_at} of 8" in finished(commands(f"--run_dir={directory}", setup=TWO_INTERVALS))
    assert_nothing_lost(directory, whole)


def test_an_interval_that_is_one_execution(commands, tmp_path):
    directories = [tmp_path / "whole", tmp_path / "stopped"]
    setup = TWO_INTERVALS + WHOLE_INTERVALS
    whole = directories[0], finished(commands(f"--run_dir={directories[0]}", setup=setup))
    kill = at_step(4, "os.kill(os.getpid(), signal.SIGTERM)") + WHOLE_INTERVALS
    assert commands(f"--run_dir={directories[1]}", setup=kill).returncode == 130
    finished(commands(f"--run_dir={directories[1]}", setup=setup))
    assert_nothing_lost(directories[1], whole)


# Where a process is killed, as statements, and the step to resume at.
KILLS = {
    "validation": ("on_test_batch_end", "os.kill(os.getpid(), signal.SIGKILL)", 4),
    "between the checkpoint and the sheet": ("on_epoch_end", "os.kill(os.getpid(), signal.SIGKILL)", 4),
}


@pytest.mark.parametrize("name", KILLS)
def test_killed(name, whole, commands, tmp_path):
    hook, statement, resumed_at = KILLS[name]
    directory = tmp_path / "run"
    assert run_apart(directory, at_step(4, statement, hook)).returncode == -signal.SIGKILL
    assert (directory / ".lock").exists()  # It holds nobody back.
    # What else a kill may leave.
    (directory / "checkpoints" / "step-8_temp").mkdir()
    for orphan in ("checkpoints/step-8_temp/part-00000-of-00001.data-00000-of-00001", "checkpoints/step-6.index"):
        (directory / orphan).write_text("")
    for orphan in ("checkpoints/checkpoint.tmp123", ".log.csv.tmp", "samples_0000008.png"):
        (directory / orphan).write_text("")
    printed = finished(commands(f"--run_dir={directory}", setup=TWO_INTERVALS))
    assert f"resuming at step {resumed_at} of 8" in printed
    assert_nothing_lost(directory, whole)


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe\0", b"step,loss\n4,1\n8,nan,1,1,1\n"])
def test_a_damaged_log_is_written_again(content, whole, commands, tmp_path):
    directory = shutil.copytree(whole[0], tmp_path / "run")
    path = directory / "log.csv"
    path.unlink() if content is None else path.write_bytes(content)
    finished(commands(f"--run_dir={directory}", setup=TWO_INTERVALS))
    assert_nothing_lost(directory, whole)


def test_ctrl_c_while_a_graph_is_built(commands, tmp_path):
    directory = tmp_path / "run"
    trace = """
def train_step(self, data):
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(3000):  # The signal is noticed in here.
        pass
    raise AssertionError("the trace went on")

from tfp_realnvp import FlowModel
patch.setattr(FlowModel, "train_step", train_step)
"""
    stopped = commands(f"--run_dir={directory}", setup=TWO_INTERVALS + trace)
    assert (stopped.returncode, stopped.stderr) == (130, "")
    assert f"resumes from {directory / 'checkpoints' / 'step-0'}" in stopped.stdout


def test_two_processes_are_kept_apart(commands, whole, tmp_path):
    directory = shutil.copytree(whole[0], tmp_path / "run")
    lock = lock_lib.RunLock(directory)
    lock.acquire()
    before = files(directory)
    refused = commands(f"--run_dir={directory}", setup=TWO_INTERVALS)
    assert refused.returncode == 1
    assert f"error: `run_dir`={directory}: process " in refused.stderr
    assert "has trained there since" in refused.stderr
    assert files(directory) == before
    lock.release()
    finished(commands(f"--run_dir={directory}", setup=TWO_INTERVALS))
    assert not (directory / ".lock").exists()


def test_weights_that_are_not_finite_are_not_saved(commands, tmp_path):
    directory = tmp_path / "run"
    # A running variance that is spoilt after a sound step: the next checkpoint would have it.
    broken = "[v.assign(v * float('nan')) for v in self.model.distribution.variables if 'variance' in v.name]"
    failed = commands(f"--run_dir={directory}", setup=at_step(8, broken))
    assert failed.returncode == 1
    assert "error: step 8 was not saved: `distribution`: its variable 'real_nvp_image/level_0/" in failed.stderr
    assert f"last good checkpoint: {directory / 'checkpoints' / 'step-4'}" in failed.stderr


def test_other_versions_are_said(commands, whole, tmp_path):
    directory = shutil.copytree(whole[0], tmp_path / "run")
    newer = TWO_INTERVALS + "patch.setitem(experiment.versions.__globals__['_PACKAGES'], 'tensorflow', Newer)\n"
    printed = finished(commands(f"--run_dir={directory}", setup="class Newer:\n    __version__ = '9.9'\n" + newer))
    assert "versions have changed: tensorflow 2." in printed
    assert "there, 9.9 now" in printed


def test_the_newest_sheets_and_checkpoints_stay(tmp_path):
    class Manager:
        checkpoints = (str(tmp_path / "checkpoints" / "step-4"),)

    (tmp_path / "checkpoints").mkdir()
    kept = ["checkpoints/step-2.index", "checkpoints/step-2.data-00000-of-00001", "checkpoints/step-4.index"]
    kept += ["samples_0000004.png", "samples_mine.png", "notes.txt", "checkpoints/checkpoint"]
    gone = ["checkpoints/step-8.index", "checkpoints/step-1.data-00000-of-00001", "samples_0000008.png", ".a.png.7.tmp"]
    for name in kept + gone:
        (tmp_path / name).write_text("")
    checkpoints.tidy(run_lib.Run(pathlib.Path(tmp_path), {}), Manager, 4)
    assert files(tmp_path) == sorted(kept)
