"""A training that is killed 100 times and stopped 50 times, at any moment, ends as one that nothing has disturbed.

Each process is a fork of one that has imported TensorFlow but not used it, so that it starts in a second.
"""

import numpy as np
import pytest

from tests.examples.commands import SMALL, run_python
from tests.examples.training_runs import tensors

pytest.importorskip("sklearn")
pytestmark = pytest.mark.slow

KILLS, STOPS, STEPS, INTERVALS = 100, 50, 480, 40
# Trains until the run is finished. Each try is ended by a signal: half of them a while after the process began, half of
# them within a second of when a checkpoint, a log or a sheet appears.
DISTURBED = """
import pathlib, random, time, traceback
import pytest
from absl import flags
from examples import train

directory, kills, stops, seed = pathlib.Path(sys.argv[1]), *map(int, sys.argv[2:5])
steps, intervals = map(int, sys.argv[5:7])
config.get = lambda name: dataclasses.replace(
    small, steps=steps, evaluations=intervals, validation_images=64, test_images=64
)
chosen = random.Random(seed)
numbers = [signal.SIGKILL] * kills + [signal.SIGTERM] * stops
chosen.shuffle(numbers)


def newest():
    files = [directory / "log.csv", directory / "checkpoints" / "checkpoint", *directory.glob("samples_*.png")]
    return max((path.stat().st_mtime_ns for path in files if path.exists()), default=0)


def started():
    child = os.fork()
    if child == 0:
        output = os.open(directory.parent / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.argv = ["train", f"--run_dir={directory}"]
        try:
            command.run(train.main, train.arrange)
        except SystemExit as stop:
            if isinstance(stop.code, str):
                print(stop.code, flush=True)
            os._exit(1 if isinstance(stop.code, str) else stop.code or 0)
        except BaseException:
            traceback.print_exc()
            os._exit(3)
        os._exit(0)
    return child


def wait_until(child, due):
    while not due():
        if os.waitpid(child, os.WNOHANG)[0]:
            return False
        time.sleep(0.001)
    return True


def disturb(child, number):
    began, before = time.monotonic(), newest()
    if chosen.random() < 0.5:
        moment = began + chosen.uniform(0, longest)
        alive = wait_until(child, lambda: time.monotonic() > moment)
    else:
        alive = wait_until(child, lambda: newest() > before)
        moment = time.monotonic() + chosen.uniform(0, 1)
        alive = alive and wait_until(child, lambda: time.monotonic() > moment)
    if alive:
        os.kill(child, number)
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status)
    return None


longest, codes, laps = 12.0, [], 1
for number in numbers:
    while (code := disturb(started(), number)) is None:  # The training had come to its end, so it begins once more.
        laps += 1
        for path in [*(directory / "checkpoints").glob("*"), directory / "result_test.json"]:
            path.unlink(missing_ok=True)
    codes.append((number.name, code))
_, status = os.waitpid(started(), 0)
print(os.waitstatus_to_exitcode(status))
print("laps", laps)
for outcome in sorted(set(codes), key=str):
    print(*outcome, codes.count(outcome))
"""


def trained(directory, kills, stops, seed=0):
    directory.mkdir(parents=True)
    done = run_python(SMALL + DISTURBED, directory / "run", kills, stops, seed, STEPS, INTERVALS)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_nothing_is_lost(tmp_path, record_property):
    assert trained(tmp_path / "whole", 0, 0).startswith("0\n")
    printed = trained(tmp_path / "disturbed", KILLS, STOPS)
    record_property("speed", f"ends of {KILLS + STOPS} disturbed trainings: {printed!r}")
    assert printed.startswith("0\n")
    output = (tmp_path / "disturbed" / "output.txt").read_text()
    assert "Traceback" not in output
    assert "error:" not in output
    ours, whole = (tmp_path / name / "run" for name in ("disturbed", "whole"))
    assert (ours / "log.csv").read_text() == (whole / "log.csv").read_text()
    assert len((ours / "log.csv").read_text().splitlines()) == 1 + INTERVALS
    names = [{p.name for p in run.iterdir()} for run in (ours, whole)]
    assert names[0] == names[1]
    for path in whole.glob("*.png"):
        assert (ours / path.name).read_bytes() == path.read_bytes(), path.name
    kept = {p.stem for p in (ours / "checkpoints").glob("step-*.index")}
    assert {p.name for p in (ours / "checkpoints").iterdir()} == {"checkpoint"} | {
        f"{name}.{ending}" for name in kept for ending in ("index", "data-00000-of-00001")
    }
    for name in kept & {p.stem for p in (whole / "checkpoints").glob("step-*.index")}:
        a, b = (tensors(run / "checkpoints" / name) for run in (ours, whole))
        assert a.keys() == b.keys()
        for key in a:
            np.testing.assert_array_equal(a[key], b[key], err_msg=f"{name} {key}")
