"""`python -m examples.train` writes what it promises, refuses wrong flags, and does what the README says."""

import csv
import os
import re
import shutil
import subprocess
import sys

import pytest

from examples import config as config_lib
from tests.examples.commands import ROOT, assert_nothing_done, finished, result
from tests.examples.training_runs import TWO_INTERVALS, assert_finite, assert_sheets
from tests.time_limits import HANG_SECONDS

pytest.importorskip("sklearn")

PROGRAM = "train"


def test_result(whole):
    directory, printed = whole
    found = result(directory)
    assert 3 < found["bits_per_dim"] < 6
    assert 0 < found["standard_error"] < 0.1
    assert found["data"].startswith("digits (scikit-learn ")
    assert (found["split"], found["split_is"]) == ("test", "all 200: last 200")
    assert (found["images"], found["noise_draws"], found["weights"], found["step"]) == (200, 1, "averaged", 8)
    assert found["command"] == f"python -m examples.train --run_dir={directory}"
    assert {"tensorflow", "tensorflow-probability", "tf_keras", "numpy", "tfp_realnvp"} == set(found["versions"])
    assert abs(found["training_mode_gap"]) < 0.5
    assert 0 < found["minutes"] < HANG_SECONDS / 60
    assert found["identity"]["seed"] == 0
    end = printed[printed.index("test:") :]
    for text in (
        f"{found['bits_per_dim']:.3f} +- ",
        "bits/dim",
        found["data"],
        found["split_is"],
        "1 noise draw",
        "step 8",
    ):
        assert text in end
    for name in ("samples_0000008.png", "data.png", "result_test.json", "log.csv", "tensorboard"):
        assert str(directory / name) in end
        assert (directory / name).exists()
    assert f"{directory / 'checkpoints' / 'step-8'}\n" in end
    assert_finite(directory / "checkpoints" / "step-8")


def test_files_on_the_way(whole):
    directory, printed = whole
    assert_sheets(directory, 0, 4, 8)
    with (directory / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["4", "8"]
    assert all(0 < float(value) < 10 for row in rows for name, value in row.items() if name != "step")
    assert len(list(directory.glob("tensorboard/*/events.*"))) >= 3  # They are of training, validation and samples.
    assert "step 4/8" in printed
    assert not list(directory.rglob("*.tmp"))


def test_a_finished_run_trains_no_more(whole, commands, tmp_path):
    directory = shutil.copytree(whole[0], tmp_path / "run")
    before = {name: (directory / name).read_bytes() for name in ("log.csv", "checkpoints/step-8.index")}
    bits = result(directory)["bits_per_dim"]
    printed = finished(commands(f"--run_dir={directory}", setup=TWO_INTERVALS))
    assert "resuming at step 8 of 8" in printed
    assert "images seen" not in printed
    assert f"test: {bits:.3f}" in printed
    assert result(directory)["bits_per_dim"] == bits
    assert {name: (directory / name).read_bytes() for name in before} == before


def test_mirrored(whole, commands, tmp_path):
    # A machine without GPUs has one replica, so the numbers must be those of no strategy at all.
    done = commands(f"--run_dir={tmp_path / 'run'}", "--strategy=mirrored", setup=TWO_INTERVALS)
    assert done.returncode == 0, done
    assert result(tmp_path / "run")["bits_per_dim"] == pytest.approx(result(whole[0])["bits_per_dim"], abs=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--stesp=3"], "error: Unknown command line flag 'stesp'"),
        (["--config.steps=0"], "error: `steps`=0: must be an int of at least 1"),
        (["--config.flow.depth=2"], "error: flag --config=digits: --config.flow.depth: no such field can be set."),
        (["digits"], "error: unexpected arguments ['digits']: flags are written --name=value"),
        (["--config=digit"], "error: flag --config=digit: `config`='digit': must be one of celeba"),
    ],
    ids=["flag", "steps", "field", "argument", "config"],
)
def test_refused_command(arguments, message, commands, tmp_path):
    assert_nothing_done(commands(*arguments, setup=f"patch.chdir({str(tmp_path)!r})"), message, tmp_path)


def test_every_config_is_described():
    for name in config_lib.names():
        config = config_lib.get(name)
        module = sys.modules[f"examples.configs.{name}"]
        assert len(module.__doc__) > 40
        assert config.interval >= 1


def test_main_command_of_the_readme(tmp_path):
    arguments = re.search(r"\.venv/bin/python (-m examples\.train .*)$", (ROOT / "README.md").read_text(), re.M)
    done = subprocess.run(
        [sys.executable, *arguments.group(1).split()],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    run_dir = tmp_path / "runs" / "digits"
    assert result(run_dir)["bits_per_dim"] < 2.6
    assert f"test: {result(run_dir)['bits_per_dim']:.3f} +- " in done.stdout
    steps = config_lib.get("digits").steps
    assert_sheets(run_dir, 0, steps)
