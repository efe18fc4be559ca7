"""Several workers train as one process does, and none of them hangs when another one is lost."""

import csv
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from examples.lock import RunLock
from tests.examples.commands import ROOT, result
from tests.examples.training_runs import tensors
from tests.examples.worker_processes import SMALL, WorkerProcesses
from tests.time_limits import HANG_SECONDS

pytestmark = pytest.mark.timeout(HANG_SECONDS)
LOST_WITHIN = 30  # seconds


def trained(count, directory, *flags):
    with WorkerProcesses(count, directory, *SMALL, *flags) as workers:
        codes, _ = workers.ended()
        assert codes == [0] * count, [workers.printed(i) for i in range(count)]
        return [workers.printed(i) for i in range(count)]


def rows(directory):
    with (directory / "log.csv").open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def assert_same(directory, other):
    """Everything is equal bit for bit, but how often and when it was saved."""
    ours, theirs = (tensors(d / "checkpoints" / "step-12") for d in (directory, other))
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)
    assert (directory / "log.csv").read_text() == (other / "log.csv").read_text()
    assert result(directory)["bits_per_dim"] == result(other)["bits_per_dim"]
    for name in ("samples_0000000.png", "samples_0000012.png"):
        assert (directory / name).read_bytes() == (other / name).read_bytes()
    names = [
        {p.name for p in d.rglob("*") if "tfevents" not in p.name and "step-" not in p.name} for d in (directory, other)
    ]
    assert names[0] == names[1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of two workers that nothing has interrupted, and what they printed."""
    directory = tmp_path_factory.mktemp("whole") / "run"
    return directory, trained(2, directory)


def test_the_chief_alone_reports(whole):
    _, (chief, other) = whole
    assert chief.startswith("worker 0 of 2, at 127.0.0.1:")
    assert "step 12/12: train" in chief
    assert "test: " in chief
    assert other.splitlines() == [other.splitlines()[0]]
    assert other.startswith("worker 1 of 2, at 127.0.0.1:")


def by_one_process(program, *flags):
    command = [sys.executable, "-m", f"examples.{program}", *flags]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=HANG_SECONDS)
    assert done.returncode == 0, done


def test_workers_train_as_one_process(whole, tmp_path):
    alone = tmp_path / "alone"
    by_one_process("train", f"--run_dir={alone}", *SMALL)
    ours, theirs = rows(whole[0]), rows(alone)
    assert [row["step"] for row in ours] == [4, 8, 12]
    for name in ("loss", "bits_per_dim"):
        np.testing.assert_allclose(ours[0][name], theirs[0][name], rtol=1e-5)
    # Biases before a batch norm have gradients of rounding alone, by which Adam takes whole steps.
    np.testing.assert_allclose(ours[-1]["bits_per_dim"], theirs[-1]["bits_per_dim"], rtol=1e-3)


def killed(directory, number):
    """Kills one of two workers after their first interval."""
    with WorkerProcesses(2, directory, *SMALL) as workers:
        workers.wait_for((directory / "checkpoints" / "step-4.index").exists)
        workers.processes[number].kill()
        codes, seconds = workers.ended(but=[number])
        assert codes == [75], workers.printed(1 - number)
        assert seconds < LOST_WITHIN
        *_, last = workers.printed(1 - number).splitlines()
    assert last.startswith("error: another worker has ended, hangs, or can't be reached")
    assert "Traceback" not in workers.printed(1 - number)


def test_workers_go_on_after_the_death_of_the_chief_and_a_signal_to_the_other(whole, tmp_path):
    directory = tmp_path / "run"
    killed(directory, 0)
    with WorkerProcesses(2, directory, *SMALL) as workers:
        workers.wait_for(lambda: "resuming at step" in workers.printed(0))
        time.sleep(3)
        workers.processes[1].send_signal(signal.SIGTERM)
        codes, _ = workers.ended()
        # A signal ends all after the same step, before training begins the worker that gets it; or it comes too late.
        assert codes in ([130, 130], [75, -signal.SIGTERM], [0, 0]), [workers.printed(i) for i in range(2)]
    trained(2, directory)
    assert_same(directory, whole[0])


@pytest.mark.slow
def test_the_shell_loop_starts_all_again(whole, tmp_path):
    directory = tmp_path / "run"
    command = ["examples/cluster/local.sh", "2", f"--run_dir={directory}", *SMALL]
    path = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
    with subprocess.Popen(
        command, cwd=ROOT, env=os.environ | {"PATH": path, "PATIENCE": "5"}, stderr=subprocess.PIPE, text=True
    ) as loop:
        for step, number in ((4, "KILL"), (8, "STOP")):
            while not (directory / "checkpoints" / f"step-{step}.index").exists():
                assert loop.poll() is None
                time.sleep(0.05)
            subprocess.run(["pkill", f"-{number}", "-n", "-f", f"multi_worker --run_dir={directory}"])
        _, errors = loop.communicate(timeout=HANG_SECONDS)
    assert loop.returncode == 0, errors
    assert errors.count("a worker was lost: all start again") >= 1
    assert_same(directory, whole[0])


def test_evaluation_is_shared_out(whole):
    directory, _ = whole
    flags = "--split=validation", "--noise_draws=2", "--images=70"
    with WorkerProcesses(3, directory, *flags, program="evaluate") as workers:
        codes, _ = workers.ended()
        assert codes == [0, 0, 0], [workers.printed(i) for i in range(3)]
        assert "validation: " in workers.printed(0)
    shared = result(directory, "validation")
    by_one_process("evaluate", f"--run={directory}", *flags)
    alone = result(directory, "validation")
    for name in ("bits_per_dim", "standard_error"):
        np.testing.assert_allclose(shared[name], alone[name], rtol=1e-6)


def test_a_worker_that_does_not_come(tmp_path):
    with WorkerProcesses(2, tmp_path / "run", *SMALL, "--start_timeout=10", of=3) as workers:
        codes, _ = workers.ended()
        assert codes == [75, 75]
        for i in range(2):
            assert f"error: worker 2 ({workers.addresses[2]}) did not come within 10 s" in workers.printed(i)
    assert not (tmp_path / "run").exists()


def test_a_signal_ends_the_wait(tmp_path):
    with WorkerProcesses(1, tmp_path / "run", *SMALL, of=2) as workers:
        workers.wait_for(lambda: "worker 0 of 2" in workers.printed(0))
        workers.processes[0].send_signal(signal.SIGTERM)
        codes, _ = workers.ended()
        assert codes == [-signal.SIGTERM]


def test_workers_of_other_flags_are_refused(tmp_path):
    with WorkerProcesses(2, tmp_path / "run", [*SMALL], [*SMALL, "--seed=1"]) as workers:
        codes, _ = workers.ended()
        assert codes == [1, 1]
        for i in range(2):
            assert "was started with something else than worker 0 (seed: 1 there, 0 here)" in workers.printed(i)


def test_an_error_of_the_chief_ends_the_others(tmp_path):
    directory = tmp_path / "run"
    (directory / "checkpoints").mkdir(parents=True)
    lock = RunLock(directory)
    lock.acquire()
    with WorkerProcesses(2, directory, *SMALL, "--start_timeout=30") as workers:
        codes, _ = workers.ended()
        assert codes == [1, 1]
        assert all("has trained there since" in workers.printed(i) for i in range(2))
    lock.release()


@pytest.mark.slow
def test_workers_of_slurm(tmp_path):
    """Slurm's own environment of two tasks on one node."""
    common = {"SLURM_STEP_NODELIST": "localhost", "SLURM_STEP_TASKS_PER_NODE": "2", "SLURM_STEP_NUM_TASKS": "2"}
    common |= {"SLURMD_NODENAME": "localhost", "TF_CONFIG": ""}
    environments = [common | {"SLURM_PROCID": str(i), "SLURM_LOCALID": str(i)} for i in range(2)]
    flags = *SMALL, "--config.steps=2", "--config.evaluations=1"
    with WorkerProcesses(2, tmp_path / "run", *flags, environments=environments) as workers:
        codes, _ = workers.ended()
        assert codes == [0, 0], [workers.printed(i) for i in range(2)]
        assert "worker 1 of 2, at localhost:8889 (Slurm)" in workers.printed(1)


def test_settings_are_those_of_the_command(whole):
    settings = json.loads((whole[0] / "settings.json").read_text())
    assert settings["config"] == "digits"
    assert settings["values"]["batch_size"] == 24
