"""A training run that is killed or stopped, or that fails, keeps its last good checkpoint and can be resumed."""

import numpy as np
import pytest

from examples import config as config_lib
from examples import models
from tests.examples.commands import result
from tests.examples.training_runs import (
    TWO_INTERVALS,
    assert_finite,
    assert_same_end,
    at_step,
    narrow,
    run_apart,
    run_here,
)

pytest.importorskip("sklearn")

PROGRAM = "train"


def assert_resumes(directory, step, whole, commands):
    """The same command goes on from this step, and ends as the run that nothing has interrupted."""
    resumed = commands(f"--run_dir={directory}", setup=TWO_INTERVALS)
    assert resumed.returncode == 0, resumed
    assert f"resuming at step {step} of 8" in resumed.stdout
    assert_same_end(directory, whole[0])


def test_killed_run_resumes(whole, commands, tmp_path):
    killed = run_apart(tmp_path / "run", at_step(6, "os.kill(os.getpid(), signal.SIGKILL)"))
    assert killed.returncode == -9
    # The log has a row of a step that is lost, and a row of step 12 that was cut short.
    with (tmp_path / "run" / "log.csv").open("a") as file:
        file.write("8,1.0,1.0,1.0,1.0\n1")
    assert_resumes(tmp_path / "run", 4, whole, commands)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_stopped_run_resumes(name, whole, commands, tmp_path):
    setup = at_step(6, f"os.kill(os.getpid(), signal.{name})")
    if name == "SIGINT":  # This one has a process of its own, as a user's command has.
        stopped = run_apart(tmp_path / "run", setup)
    else:
        stopped = commands(f"--run_dir={tmp_path / 'run'}", setup=setup)
    assert stopped.returncode == 130
    assert "Traceback" not in stopped.stderr
    assert name == "SIGTERM" or "SIGINT: saving" in stopped.stderr
    assert f"the same command resumes from {tmp_path / 'run' / 'checkpoints' / 'step-6'}" in stopped.stdout
    assert_finite(tmp_path / "run" / "checkpoints" / "step-6")
    if name == "SIGINT":  # From the same checkpoint SIGTERM's run would go on in the same way.
        assert_resumes(tmp_path / "run", 6, whole, commands)


def test_second_ctrl_c_stops_at_once(commands, tmp_path):
    twice = at_step(6, "[os.kill(os.getpid(), signal.SIGINT) for _ in range(2)]")
    stopped = commands(f"--run_dir={tmp_path / 'run'}", setup=twice)
    assert stopped.returncode == 130
    assert "Traceback" not in stopped.stderr
    assert f"the same command resumes from {tmp_path / 'run' / 'checkpoints' / 'step-4'}" in stopped.stdout


def test_full_disk(whole, commands, tmp_path):
    # There is room for a line of the log, not for a checkpoint.
    limit = at_step(6, "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))")
    full = commands(f"--run_dir={tmp_path / 'run'}", setup=limit)
    assert full.returncode == 1
    assert "Traceback" not in full.stderr
    assert f"error: no checkpoint could be written to {tmp_path / 'run' / 'checkpoints'}" in full.stderr
    assert f"last good checkpoint: {tmp_path / 'run' / 'checkpoints' / 'step-4'}" in full.stderr
    assert_finite(tmp_path / "run" / "checkpoints" / "step-4")
    assert_resumes(tmp_path / "run", 4, whole, commands)


def test_nan(commands, tmp_path):
    place = "checkerboard_2/network/residual/conv_in/bias"
    broken = f"[v.assign(v * float('nan')) for v in self.model.trainable_variables if {place!r} in v.name]"
    failed = commands(f"--run_dir={tmp_path / 'run'}", setup=at_step(6, broken))
    assert failed.returncode == 1
    assert "Traceback" not in failed.stderr
    assert (
        "error: step 7: not finite: the output of layer 'real_nvp_image/level_0/checkerboard_2/coupling"
        in failed.stderr
    )
    assert f"last good checkpoint: {tmp_path / 'run' / 'checkpoints' / 'step-4'}" in failed.stderr
    assert_finite(tmp_path / "run" / "checkpoints" / "step-4")  # `test_killed_run_resumes` goes on from it.
    assert not (tmp_path / "run" / "result_test.json").exists()


def test_gradients_are_recomputed_from_any_step_on(tmp_path, capsys, monkeypatch):
    asked = []
    original = models.RealNVPImage
    made = lambda *args, **options: asked.append(options) or original(*args, **options)  # noqa: E731
    monkeypatch.setitem(models._FLOWS, config_lib.Flow, made)
    config = narrow("digits", num_scales=1, cosine_decay=False, test_images=64)
    run_here(config, "--config.steps=1", f"--run_dir={tmp_path / 'run'}")
    run_here(config, "--config.steps=2", f"--run_dir={tmp_path / 'run'}", "--config.flow.recompute_gradients")
    assert "resuming at step 1 of 2" in capsys.readouterr().out
    assert [options.get("recompute_gradients") for options in asked] == [False, True]
    assert np.isfinite(result(tmp_path / "run")["bits_per_dim"])
