"""`python -m examples.train` as a user runs it: results, resuming, Ctrl-C, a NaN, a full disk, every data source."""

import csv
import dataclasses
import json
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from absl import flags
from absl.testing import flagsaver

from examples import config as config_lib
from examples import experiment
from examples import train as program
from tests.examples.commands import assert_nothing_done

pytest.importorskip("sklearn")

PROGRAM = "train"
ROOT = pathlib.Path(__file__).parents[2]
TFDS = ROOT.parent / "shared" / "data" / "tfds"

# The digits through a flow that is traced in seconds: two intervals of four steps.
SMALL = """
import dataclasses, os, resource, signal
from absl import app
from examples import callbacks, config, train

small = dataclasses.replace(
    config.get("digits"), flow={"num_scales": 1, "width": 4, "residual_blocks": 0}, steps=8, evaluations=2
)
config.get = lambda name: small
"""

# Something that happens after the sixth step, in the middle of the second interval.
AT_STEP_6 = """
def on_train_batch_end(self, batch, logs=None):
    if callbacks.step_of(self.model) == 6:
        {event}

callbacks.Progress.on_train_batch_end = on_train_batch_end
"""


def run(directory, *arguments, event=None):
    """Runs the program over `SMALL` in a process of its own; `event` is a statement for `AT_STEP_6`."""
    code = SMALL + (AT_STEP_6.format(event=event) if event else "") + "app.run(train.main)"
    command = [sys.executable, "-c", code, f"--run_dir={directory}", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


def finished(directory, *arguments, **options):
    done = run(directory, *arguments, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def in_process(config, *arguments):
    """`main` in this process, with this `Config`; raises SystemExit as the command would."""
    with flagsaver.flagsaver(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(config_lib, "get", lambda name: config)
        patch.setattr(sys, "argv", ["train", *arguments])
        flags.FLAGS(sys.argv)
        program.main(sys.argv[:1])


def narrow(name, num_scales=None, **changes):
    """The config of that name with little width, and with its scales unless told otherwise."""
    config = config_lib.get(name)
    scales = {} if num_scales is None else {"num_scales": num_scales}
    flow = {**config.flow, **scales, "width": 2, "residual_blocks": 0}
    return dataclasses.replace(config, flow=flow, **{"steps": 2, "evaluations": 1, "validation_images": 64} | changes)


def tensors(checkpoint):
    """Everything that was saved: weights, statistics, averages, optimizer slots, metrics, counters."""
    reader = tf.train.load_checkpoint(str(checkpoint))
    names = [n for n in reader.get_variable_to_shape_map() if n != "_CHECKPOINTABLE_OBJECT_GRAPH"]
    # How often a run was saved and how long it took is no part of its state.
    saved = {n: np.asarray(reader.get_tensor(n)) for n in names if not n.startswith(("save_counter", "seconds"))}
    assert len(saved) > 50
    return saved


def assert_same_end(directory, other):
    ours, theirs = (tensors(d / "checkpoints" / "step-8") for d in (directory, other))
    assert ours.keys() == theirs.keys()
    for part in ("model/optimizer/_variables/", "model/averages/averages/", "model/averages/_sources/"):
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


def result(directory):
    return json.loads((directory / "result_test.json").read_text())


def assert_sheets(directory, *steps):
    """The pictures decode and show something."""
    for name in ("data.png", *(f"samples_{step:07d}.png" for step in steps)):
        sheet = tf.io.decode_png((directory / name).read_bytes()).numpy()
        assert sheet.shape[-1] == 3
        assert len(np.unique(sheet)) > 3, name


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing has interrupted, and what it printed."""
    directory = tmp_path_factory.mktemp("whole") / "run"
    return directory, finished(directory)


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
    assert 0 < found["minutes"] < 5
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
    assert len(list(directory.glob("tensorboard/*/events.*"))) >= 3  # Training, validation, samples.
    assert "step 4/8" in printed
    assert not list(directory.rglob("*.tmp"))


def test_a_finished_run_trains_no_more(whole):
    directory, _ = whole
    before = {name: (directory / name).read_bytes() for name in ("log.csv", "checkpoints/step-8.index")}
    bits = result(directory)["bits_per_dim"]
    printed = finished(directory)
    assert "resuming at step 8 of 8" in printed
    assert "images seen" not in printed
    assert f"test: {bits:.3f}" in printed
    assert result(directory)["bits_per_dim"] == bits
    assert {name: (directory / name).read_bytes() for name in before} == before


def test_killed_run_resumes(whole, tmp_path):
    killed = run(tmp_path / "run", event="os.kill(os.getpid(), signal.SIGKILL)")
    assert killed.returncode == -9
    # A row of a step that is lost, and one, of step 12, that was cut short.
    with (tmp_path / "run" / "log.csv").open("a") as file:
        file.write("8,1.0,1.0,1.0,1.0\n1")
    assert "resuming at step 4 of 8" in finished(tmp_path / "run")
    assert_same_end(tmp_path / "run", whole[0])


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_stopped_run_resumes(name, whole, tmp_path):
    stopped = run(tmp_path / "run", event=f"os.kill(os.getpid(), signal.{name})")
    assert stopped.returncode == 130
    assert "Traceback" not in stopped.stderr
    assert f"{name}: saving" in stopped.stdout
    assert f"the same command resumes from {tmp_path / 'run' / 'checkpoints' / 'step-6'}" in stopped.stdout
    assert_finite(tmp_path / "run" / "checkpoints" / "step-6")
    if name == "SIGINT":  # From the same checkpoint it goes on in the same way.
        assert "resuming at step 6 of 8" in finished(tmp_path / "run")
        assert_same_end(tmp_path / "run", whole[0])


def test_second_ctrl_c_stops_at_once(tmp_path):
    stopped = run(tmp_path / "run", event="[os.kill(os.getpid(), signal.SIGINT) for _ in range(2)]")
    assert stopped.returncode == 130
    assert "Traceback" not in stopped.stderr
    assert f"the same command resumes from {tmp_path / 'run' / 'checkpoints' / 'step-4'}" in stopped.stdout


def test_full_disk(whole, tmp_path):
    # Room for a line of the log, not for a checkpoint.
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))"
    full = run(tmp_path / "run", event=limit)
    assert full.returncode == 1
    assert "Traceback" not in full.stderr
    assert f"error: no checkpoint could be written to {tmp_path / 'run' / 'checkpoints'}" in full.stderr
    assert f"last good checkpoint: {tmp_path / 'run' / 'checkpoints' / 'step-4'}" in full.stderr
    assert_finite(tmp_path / "run" / "checkpoints" / "step-4")
    assert "resuming at step 4 of 8" in finished(tmp_path / "run")
    assert_same_end(tmp_path / "run", whole[0])


def test_nan(tmp_path):
    place = "checkerboard_2/network/residual/conv_in/bias"
    broken = f"[v.assign(v * float('nan')) for v in self.model.trainable_variables if {place!r} in v.name]"
    failed = run(tmp_path / "run", event=broken)
    assert failed.returncode == 1
    assert "Traceback" not in failed.stderr
    assert (
        "error: step 7: not finite: the output of layer 'real_nvp_image/level_0/checkerboard_2/coupling"
        in failed.stderr
    )
    assert f"last good checkpoint: {tmp_path / 'run' / 'checkpoints' / 'step-4'}" in failed.stderr
    assert_finite(tmp_path / "run" / "checkpoints" / "step-4")  # The one that `test_killed_run_resumes` goes on from.
    assert not (tmp_path / "run" / "result_test.json").exists()


def test_mirrored(whole, tmp_path):
    # One replica on a machine without GPUs, so the numbers must be those of no strategy at all.
    finished(tmp_path / "run", "--strategy=mirrored")
    assert result(tmp_path / "run")["bits_per_dim"] == pytest.approx(result(whole[0])["bits_per_dim"], abs=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--stesp=3"], "Unknown command line flag 'stesp'"),
        (["--steps=0"], "flag --steps=0"),
        (["digits"], "unexpected arguments ['digits']; flags are written --name=value"),
        (["--config=digit"], "error: `config`='digit': must be one of celeba"),
    ],
    ids=["flag", "steps", "argument", "config"],
)
@pytest.mark.timeout(120)
def test_refused_command(arguments, message, commands, tmp_path):
    assert_nothing_done(commands(*arguments, setup=f"patch.chdir({str(tmp_path)!r})"), message, tmp_path)


@pytest.mark.parametrize(
    ("step", "steps", "interval", "expected"),
    [
        (0, 8, 4, [(0, 4, 2)]),
        (0, 10, 4, [(0, 4, 2), (8, 2, 1)]),
        (3, 12, 4, [(3, 1, 1), (4, 4, 2)]),
        (3, 10, 4, [(3, 1, 1), (4, 4, 1), (8, 2, 1)]),
        (5, 7, 4, [(5, 2, 1)]),
        (0, 3, 4, [(0, 3, 1)]),
        (8, 8, 4, []),
        (9, 8, 4, []),
        (0, 2, 1, [(0, 1, 2)]),
    ],
)
def test_segments(step, steps, interval, expected):
    assert list(program.segments(step, steps, interval)) == expected


def test_segments_end_at_the_same_steps_wherever_they_begin():
    def ends(step):
        parts = program.segments(step, 50, 7)
        return [begin + length * (i + 1) for begin, length, count in parts for i in range(count)]

    assert ends(0) == [7, 14, 21, 28, 35, 42, 49, 50]
    for step in range(50):
        assert ends(step) == [end for end in ends(0) if end > step]


def test_folder(tmp_path, capsys):
    pillow = pytest.importorskip("PIL.Image")
    (tmp_path / "pictures" / "more").mkdir(parents=True)
    for i in range(80):
        noise = np.random.RandomState(i).randint(0, 256, [3, 5, 3]).astype(np.uint8)
        place = tmp_path / "pictures" / ("more" if i % 2 else "") / f"{i}.{'jpg' if i % 3 else 'png'}"
        pillow.fromarray(noise).resize([20 + i, 24]).save(place)
    run_dir = tmp_path / "run"
    arguments = ["--config=folder", f"--folder={tmp_path / 'pictures'}", "--image_size=16", f"--run_dir={run_dir}"]
    in_process(narrow("folder", num_scales=1), *arguments)
    found = result(run_dir)
    assert found["data"] == "folder pictures, 80 pictures at 16x16"
    assert found["identity"]["image_shape"] == [16, 16, 3]
    assert np.isfinite(found["bits_per_dim"])
    assert found["images"] > 0
    assert found["split_is"].startswith(f"all {found['images']}: the first ")
    assert_sheets(run_dir, 0, 2)
    assert tf.io.decode_png((run_dir / "samples_0000002.png").read_bytes()).shape[0] == 8 * 66 - 2  # Enlarged to 64.
    assert "test: " in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.skipif(not TFDS.is_dir(), reason=f"no prepared CIFAR-10 in {TFDS}")
def test_cifar10(tmp_path):
    config = narrow("cifar10_small", test_images=64)
    in_process(config, "--config=cifar10_small", f"--data_dir={TFDS}", f"--run_dir={tmp_path / 'run'}")
    found = result(tmp_path / "run")
    assert found["data"] == "cifar10 3.0.2 (TFDS)"
    assert found["split_is"] == "first 64 of 10,000: test"
    assert np.isfinite(found["bits_per_dim"])
    assert_sheets(tmp_path / "run", 0, 2)


@pytest.mark.slow
def test_photo_patches(tmp_path):
    config = narrow("photo_patches", test_images=64)
    in_process(config, "--config=photo_patches", f"--run_dir={tmp_path / 'run'}")
    found = result(tmp_path / "run")
    assert found["images"] == 64
    assert np.isfinite(found["bits_per_dim"])
    assert_sheets(tmp_path / "run", 0, 2)


def test_gradients_are_recomputed_from_any_step_on(tmp_path, capsys, monkeypatch):
    asked = []
    original = experiment.RealNVPImage
    monkeypatch.setattr(
        experiment, "RealNVPImage", lambda *args, **options: asked.append(options) or original(*args, **options)
    )
    config = narrow("digits", num_scales=1, cosine_decay=False, test_images=64)
    in_process(config, "--steps=1", f"--run_dir={tmp_path / 'run'}")
    in_process(config, "--steps=2", f"--run_dir={tmp_path / 'run'}", "--recompute_gradients")
    assert "resuming at step 1 of 2" in capsys.readouterr().out
    assert [options.get("recompute_gradients") for options in asked] == [None, True]
    assert np.isfinite(result(tmp_path / "run")["bits_per_dim"])


def test_every_config_is_described():
    for name in config_lib.names():
        config = config_lib.get(name)
        module = sys.modules[f"examples.configs.{name}"]
        assert len(module.__doc__) > 40
        assert config.interval >= 1


@pytest.mark.timeout(600)
def test_main_command_of_the_readme(tmp_path):
    arguments = re.search(r"\.venv/bin/python (-m examples\.train .*)$", (ROOT / "README.md").read_text(), re.M)
    done = subprocess.run(
        [sys.executable, *arguments.group(1).split()],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    run_dir = tmp_path / "runs" / "digits"
    assert result(run_dir)["bits_per_dim"] < 2.6
    assert f"test: {result(run_dir)['bits_per_dim']:.3f} +- " in done.stdout
    steps = config_lib.get("digits").steps
    assert_sheets(run_dir, 0, steps)
