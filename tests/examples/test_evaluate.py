"""`python -m examples.evaluate` finds the numbers of training again, and tells and repairs spoiled statistics."""

import contextlib
import csv
import fcntl
import json
import math
import os
import pty
import shutil
import struct
import termios

import numpy as np
import pytest

from examples import config as config_lib
from examples import evaluation, results
from examples.settings import Settings
from tests.examples.commands import (
    SMALL,
    assert_refused,
    contents,
    finished,
    opened,
    python,
    result,
)
from tfp_realnvp import RunningStatistics

pytest.importorskip("sklearn")

PROGRAM = "evaluate"


@pytest.fixture
def run(run):
    """A copy of the run, without the result of its training."""
    (run / "result_test.json").unlink()
    return run


def test_defaults_give_the_numbers_of_training(trained, run, commands):
    printed = finished(commands(f"--run={run}"))
    ours, theirs = result(run), result(trained)
    assert ours["command"] == f"python -m examples.evaluate --run={run}"
    assert {**ours, "command": ""} == {**theirs, "command": "", "training_mode_gap": ours["training_mode_gap"]}
    assert ours["training_mode_gap"] == pytest.approx(theirs["training_mode_gap"], abs=1e-5)
    assert abs(ours["training_mode_gap"]) < 0.05
    number = f"{ours['bits_per_dim']:.3f} +- {ours['standard_error']:.3f} bits/dim"
    assert printed.startswith(f"test: {number} (digits (scikit-learn")
    assert printed.endswith(f"\nresult:      {run / 'result_test.json'}\n")
    assert printed.count("\n") == 2  # There is no warning.
    before = contents(trained)
    assert {p.relative_to(run) for p in contents(run)} == {p.relative_to(trained) for p in before}
    for path, content in before.items():
        if path.name != "result_test.json":
            assert (run / path.relative_to(trained)).read_bytes() == content
    # `examples.results` makes a line of it.
    (found,) = results.find([run])
    assert found["split_is"] == "all 200: last 200"
    assert f"{ours['bits_per_dim']:.3f} ± {ours['standard_error']:.3f}" in results.table([found])


@pytest.mark.parametrize(("split", "total", "words"), [("train", 1397, "first 1397"), ("validation", 200, "next 200")])
def test_splits(split, total, words, run, commands):
    arguments = [f"--run={run}", f"--split={split}", "--images=70", "--per_image", "--noise_draws=2"]
    printed = finished(commands(*arguments, "--importance_samples=4"))
    found, it = result(run, split), opened(run)
    assert (found["split"], found["images"], found["noise_draws"]) == (split, 70, 2)
    assert found["split_is"].startswith(f"first 70 of {total:,}: {words}")
    assert found["command"] == " ".join(["python -m examples.evaluate", *arguments, "--importance_samples=4"])
    assert f"\nper image:   {run / f'per_image_{split}.csv'}\n" in printed
    assert f"\nimportance-weighted, 4 samples: {found['importance_weighted']['bits_per_dim']:.3f} +- " in printed
    text = (run / f"per_image_{split}.csv").read_bytes()
    assert b"\r" not in text
    rows = list(csv.DictReader(text.decode().splitlines()))
    assert [row["image"] for row in rows] == [str(i) for i in range(70)]
    for column, mean in (("bits_per_dim", found), ("importance_weighted", found["importance_weighted"])):
        column = np.array([float(row[column]) for row in rows])
        assert mean["bits_per_dim"] == pytest.approx(column.mean(), rel=1e-12)
        assert mean["standard_error"] == pytest.approx(column.std() / math.sqrt(70), rel=1e-12)
    pixels = getattr(it.images, split).pixels[:70]
    expected = [it.model.predict(pixels, batch_size=64, draw=k, verbose=0) for k in range(2)]
    assert found["bits_per_dim"] == pytest.approx(np.mean(expected), abs=1e-5)
    assert len(results.find([run])) == 1
    assert not (run / "result_test.json").exists()
    assert not list(run.rglob(".*"))


def test_bounds_of_a_trained_flow(run):
    it = opened(run)
    previous = evaluation.evaluate(it, "test", "it")[0]["bits_per_dim"]
    for samples in (4, 16):
        found, per_image = evaluation.evaluate(it, "test", "it", noise_draws=samples, importance_samples=samples)
        bound = found["importance_weighted"]["bits_per_dim"]
        assert bound < previous
        assert bound < found["bits_per_dim"] + 2 * found["standard_error"]
        assert (per_image["importance_weighted"] < per_image["bits_per_dim"]).all()  # Both are of the same draws.
        previous = bound


def test_conditional(trained_conditional, commands, tmp_path):
    directory = shutil.copytree(trained_conditional, tmp_path / "run")
    theirs = result(directory)
    printed = finished(commands(f"--run={directory}", "--recalibrate=0", "--importance_samples=2"))
    found = result(directory)
    assert found["conditional"]
    assert found["bits_per_dim"] == pytest.approx(theirs["bits_per_dim"], abs=1e-6)
    assert found["importance_weighted"]["bits_per_dim"] < found["bits_per_dim"]
    assert "importance-weighted, 2 samples" in printed
    finished(commands(f"--run={directory}", "--recalibrate=500"))
    assert result(directory)["statistics"] == "recalibrated on the first 448 training images"
    assert abs(result(directory)["training_mode_gap"]) < 0.05


def test_spoiled_statistics_are_told_and_repaired(trained, run, commands):
    it = opened(run)
    spoiled = [id(m.variance) for m in it.model.distribution.submodules if isinstance(m, RunningStatistics)]
    averages = it.model.averages
    for own, average in zip(averages._sources, averages.averages, strict=True):
        if id(own) in spoiled:
            own.assign(100.0 * own)
            average.assign(100.0 * average)
    it.manager.save(checkpoint_number=it.step)
    before, healthy = contents(run), result(trained)
    printed = finished(commands(f"--run={run}"))
    bad = result(run)
    assert bad["bits_per_dim"] > healthy["bits_per_dim"] + 0.3
    assert (
        "warning: with the statistics of their batch, as in training, bits/dim of training images differs by "
        f"{bad['training_mode_gap']:+.3f}: "
    ) in printed
    assert "--recalibrate=4096" in printed
    assert bad["training_mode_gap"] < -0.05
    printed = finished(commands(f"--run={run}", "--recalibrate=1000"))
    good = result(run)
    assert "warning" not in printed
    assert "statistics recalibrated on the first 960 training images" in printed
    assert good["statistics"] == "recalibrated on the first 960 training images"
    assert good["bits_per_dim"] == pytest.approx(healthy["bits_per_dim"], abs=0.05)
    assert abs(good["training_mode_gap"]) < 0.01
    assert contents(run) == before | {run / "result_test.json": (run / "result_test.json").read_bytes()}


def test_gap_of_a_healthy_run_is_small_however_few_images_are_evaluated(run, commands):
    assert "warning" not in finished(commands(f"--run={run}", "--images=1", "--recalibrate=1397"))
    assert abs(result(run)["training_mode_gap"]) < 0.01


def test_folders_are_found_from_any_working_directory(tmp_path, monkeypatch):
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "here" / "run").mkdir()
    sources = config_lib.Sources("data", "my pictures", 8)
    settings = Settings("folder", config_lib.get("folder").values, sources)
    settings.write(tmp_path / "here" / "run" / "settings.json")
    monkeypatch.chdir(tmp_path / "there")
    read = Settings.read(tmp_path / "here" / "run" / "settings.json")
    assert read == settings
    assert read.sources.folder == str(tmp_path / "here" / "my pictures")
    assert read.sources.data_dir == str(tmp_path / "here" / "data")
    assert config_lib.Sources("gs://bucket/data").data_dir == "gs://bucket/data"


# Finds the digits only where the directory `data_dir` exists.
FROM_DATA_DIR = """
def load(sources):
    if not os.path.isdir(sources.data_dir or ""):
        raise FileNotFoundError(f"`data_dir`={sources.data_dir!r}: no such directory; create it.")
    return data.digits()

there = dataclasses.replace(small, load=load)
patch.setattr(config, "get", lambda name: there)
"""


def test_data_that_moved(run, commands, tmp_path):
    settings = json.loads((run / "settings.json").read_text())
    settings["sources"]["data_dir"] = str(tmp_path / "old")
    (run / "settings.json").write_text(json.dumps(settings))
    before = contents(run)
    assert_refused(commands(f"--run={run}", setup=FROM_DATA_DIR), f"`data_dir`='{tmp_path / 'old'}': no such directory")
    assert contents(run) == before
    (tmp_path / "new").mkdir()
    finished(commands(f"--run={run}", f"--data_dir={tmp_path / 'new'}", "--images=2", setup=FROM_DATA_DIR))
    assert result(run)["training_command"] == settings["command"]  # This is the command that trained it.
    (tmp_path / "old").mkdir()
    finished(commands(f"--run={run}", "--images=2", setup=FROM_DATA_DIR))


def test_bar_on_a_terminal_only(run, commands):
    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))  # A new terminal has no rows.
    code = SMALL + "from examples import evaluate\ncommand.run(evaluate.main)"
    process = python(code, f"--run={run}", "--noise_draws=4", stderr=end, cwd=run.parent)
    os.close(end)
    shown = b""
    with contextlib.suppress(OSError):  # Reading from a terminal that has ended raises it.
        while chunk := os.read(terminal, 4096):
            shown += chunk
    os.close(terminal)
    printed, _ = process.communicate()
    assert process.returncode == 0
    assert b"evaluating:" in shown
    assert b"/16 " in shown  # There are 16 batches: 4 draws of 200 images in batches of 64.
    assert [line.split(":")[0] for line in printed.splitlines()] == ["test", "result"]
    assert finished(commands(f"--run={run}", "--noise_draws=4")) == printed  # There is no bar here.
