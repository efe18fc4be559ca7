"""A user's own experiment: other values, a config of one's own, and training that goes on from another run."""

import dataclasses
import inspect
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import typing

import numpy as np
import pytest
import tensorflow as tf
from absl import flags
from absl.testing import flagsaver

from examples import config as config_lib
from examples import config_flag, exporting
from examples import train as program
from examples.configs import cifar10_plus_gpu
from examples.models import Form, build_model, count_parameters
from examples.settings import Settings
from tests.examples.commands import ROOT, finished, opened, result, run_python
from tests.examples.training_runs import AVERAGES, TWO_INTERVALS, WEIGHTS, assert_same_end, run_apart, run_here, tensors
from tests.time_limits import HANG_SECONDS
from tfp_realnvp import GlowImage, RealNVPImage

PROGRAM = "train"
REQUIRED = {
    *("steps", "evaluations", "batch_size", "optimizer", "learning_rate", "clip_norm", "warmup_steps"),
    *("cosine_decay", "l2", "flip", "steps_per_execution"),
    *(f"flow.{name}" for name in ("num_scales", "width", "residual_blocks", "preset", "additive", "batch_norm")),
    *("flow.momentum", "flow.recompute_gradients"),
}


@pytest.mark.parametrize(("flow", "bijector"), [(config_lib.Flow, RealNVPImage), (config_lib.Glow, GlowImage)])
def test_flow_has_the_arguments_and_defaults_of_the_bijector(flow, bijector):
    ours = {f.name: f.default for f in dataclasses.fields(flow)}
    theirs = {k: p.default for k, p in inspect.signature(bijector).parameters.items()}
    of_the_data = {"channels", "levels", "conditioning_size", "dtype", "validate_args", "name"}
    assert ours == {k: v for k, v in theirs.items() if k not in of_the_data}


@pytest.mark.parametrize("name", config_lib.names())
def test_values_make_the_config_again(name):
    config = config_lib.get(name)
    values = json.loads(json.dumps(config.values))
    assert config_lib.from_values(values, config.load) == config
    for broken in ({}, {**values, "more": 1}, {**values, "steps": 0}, {**values, "flow": {"width": 3}}):
        with pytest.raises((KeyError, ValueError)):
            config_lib.from_values(broken)


def test_every_value_is_set_and_recorded(commands, tmp_path):
    flags = [
        "--config.flow.width=3",
        "--config.batch_size=16",
        "--config.learning_rate=3e-3",
        "--noconfig.cosine_decay",
    ]
    flags += ["--config.averaging=none", "--config.flow.shift_first=false", "--config.steps=2", "--config=digits"]
    printed = finished(commands(f"--run_dir={tmp_path / 'run'}", *flags))
    assert "step 2/2" in printed
    found = result(tmp_path / "run")
    values, flow, identity = found["values"], found["values"]["flow"], found["identity"]
    assert (values["batch_size"], values["learning_rate"], values["cosine_decay"]) == (16, 3e-3, False)
    assert (values["averaging"], flow["width"], flow["shift_first"]) == (None, 3, False)
    assert Settings.read(tmp_path / "run" / "settings.json").values == values | {"image_shape": [8, 8, 1]}
    assert (identity["flow"]["width"], identity["batch_size"], identity["averaging"]) == (3, 16, None)
    assert found["weights"] == "last"
    # With more steps it goes on, with fewer it is refused.
    printed = finished(commands(f"--run_dir={tmp_path / 'run'}", *[f.replace("steps=2", "steps=3") for f in flags]))
    assert "resuming at step 2 of 3" in printed
    assert result(tmp_path / "run")["step"] == 3
    refused = commands(f"--run_dir={tmp_path / 'run'}", *flags)
    assert "`steps`=2: the run in " in refused.stderr
    assert Settings.read(tmp_path / "run" / "settings.json").values["steps"] == 3
    refused = commands(f"--run_dir={tmp_path / 'run'}", *flags[1:])
    assert refused.returncode == 1
    assert "flow.width: 3 there, 4 now" in refused.stderr
    assert f"train so in another `run_dir`, with --init_from={tmp_path / 'run'}" in refused.stderr


@pytest.mark.parametrize("field", [f for f in config_flag.fields(config_lib.get("digits")) if f not in REQUIRED])
def test_every_field_that_may_be_none_takes_none(field):
    """Fields that may be None are told from others by their annotations."""
    owner = config_lib.Flow if field.startswith("flow.") else config_lib.Config
    [kind] = [f.type for f in dataclasses.fields(owner) if f.name == field.removeprefix("flow.")]
    with flagsaver.flagsaver():
        flags.FLAGS(program.arrange(["train", f"--config.{field}=none"]))
        value = getattr(
            flags.FLAGS.config.flow if owner is config_lib.Flow else flags.FLAGS.config, field.split(".")[-1]
        )
    assert value is None
    assert type(None) in typing.get_args(kind)


def test_flag_files_and_the_last_config_count(tmp_path):
    (tmp_path / "f").write_text("--config=cifar10_small\n--config.batch_size=7\n")
    for first, steps in (("--config.steps=5", 5), ("--config=digits", 2250)):
        with flagsaver.flagsaver():
            flags.FLAGS(program.arrange(["train", first, f"--flagfile={tmp_path / 'f'}"]))
            assert (flags.FLAGS.config.batch_size, flags.FLAGS.config.flow.num_scales) == (7, 3)
            assert flags.FLAGS.config.steps == steps


def test_means_of_an_interval_that_is_over_are_not_carried_on(commands, tmp_path):
    def rows(steps, evaluations, directory):
        arguments = [f"--config.steps={steps}", f"--config.evaluations={evaluations}", "--noconfig.cosine_decay"]
        finished(commands(f"--run_dir={tmp_path / directory}", *arguments))
        lines = (tmp_path / directory / "log.csv").read_text().splitlines()[1:]
        return {int(step): bits for step, _, bits, *_ in (line.split(",") for line in lines)}

    first = rows(6, 2, "a")
    longer = rows(10, 2, "a")
    assert list(longer) == [3, 6, 10]
    assert {step: longer[step] for step in (3, 6)} == first
    # Steps 7 to 10 are the last interval of this run, too.
    means = rows(2, 1, "b"), rows(6, 3, "b"), rows(10, 2, "b")
    assert float(means[2][10]) == pytest.approx(float(longer[10]), rel=1e-6)


def scalars(directory):
    """The values in the event files below a directory: by the names of the folder and of the value, by step."""
    found = {}
    for path in sorted(directory.rglob("events.*")):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                name = f"{path.parent.name}/{value.tag}"
                number = tf.make_ndarray(value.tensor) if value.HasField("tensor") else None
                found.setdefault(name, {})[event.step] = number
    return found


def test_tensorboard_has_hyperparameters_speed_rate_and_gradients(whole, tmp_path):
    directory, printed = whole
    found = scalars(directory / "tensorboard")
    for name in ("bits_per_dim", "images_per_second", "gradient_norm", "learning_rate"):
        assert list(found[f"train/epoch_{name}"]) == [4, 8]  # steps
        assert found[f"train/epoch_{name}"][4] > 0
    # The second of the two intervals ends where the cosine does.
    assert found["train/epoch_learning_rate"][8] == pytest.approx(0, abs=1e-9)
    assert {"validation/epoch_bits_per_dim", "samples/samples"} <= found.keys()
    event_files = (directory / "tensorboard").glob("events.*")
    hyperparameters = b"".join(path.read_bytes() for path in event_files)
    for name in (b"flow.width", b"batch_size", b"seed", b"_hparams_/session_start_info"):
        assert name in hyperparameters
    assert len(re.findall(r"bits/dim; [\d,]+ images/s; \d+\.\d min left", printed)) == 2


@pytest.fixture(scope="module")
def began(whole, tmp_path_factory):
    """A run of three steps that began with the averaged weights of a copy of `whole`; its flags; what it printed."""
    directory = tmp_path_factory.mktemp("began") / "run"
    shutil.copytree(whole[0], directory.parent / "whole")
    flags = [
        f"--init_from={directory.parent / 'whole'}",
        "--config.batch_size=32",
        "--config.steps=3",
        "--config.evaluations=1",
    ]
    done = run_apart(directory, TWO_INTERVALS, flags)
    assert done.returncode == 0, done
    return directory, flags, done.stdout


@pytest.mark.parametrize("weights", ["averaged", "last", "exported"])
def test_weights_are_those_of_another_run(weights, whole, began, commands, tmp_path):
    directory, _, printed = began
    if weights != "averaged":
        source, name = whole[0], weights
        if weights == "exported":
            source, name = tmp_path / "export", "averaged"
            exporting.export(opened(whole[0]), source, None)
        directory, flags = tmp_path / "run", [f"--init_from={source}", f"--init_weights={name}", "--config.steps=1"]
        printed = finished(commands(f"--run_dir={directory}", *flags, setup=TWO_INTERVALS))
    assert f"with the {'last' if weights == 'last' else 'averaged'} weights of step 8 of " in printed
    theirs, ours = tensors(whole[0] / "checkpoints" / "step-8"), tensors(directory / "checkpoints" / "step-0")
    part = WEIGHTS if weights == "last" else AVERAGES
    numbers = [name.removeprefix(WEIGHTS) for name in theirs if name.startswith(WEIGHTS)]
    assert len(numbers) > 10
    for number in numbers:
        for place in (WEIGHTS, AVERAGES):  # The averages begin there, too.
            np.testing.assert_array_equal(ours[place + number], theirs[part + number])
    slots = [v for name, v in ours.items() if name.startswith("model/optimizer/_variables/") and v.size > 1]
    assert slots
    assert all((v == 0).all() for v in slots)
    assert ours["model/likelihood/averages/num_updates/.ATTRIBUTES/VARIABLE_VALUE"] == 0


def test_a_run_that_began_with_others_weights_resumes_without_them(began, commands):
    directory, flags, _ = began
    shutil.rmtree(directory.parent / "whole")
    printed = finished(commands(f"--run_dir={directory}", *flags, setup=TWO_INTERVALS))
    assert "resuming at step 3 of 3" in printed
    assert result(directory)["identity"]["init_from"] == {
        "run": str(directory.parent / "whole"),
        "weights": "averaged",
        "step": 8,
    }
    refused = commands(f"--run_dir={directory}", *flags[1:], setup=TWO_INTERVALS)
    assert refused.returncode == 1
    assert "init_from.step: 8 there, None now" in refused.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--init_from=/nowhere"], "`run`=/nowhere: no run of examples.train"),
        (["--config.flow.width=5"], "config.flow.width 4 there, 5 now"),
        (["--config.flow.preset=paper"], "config.flow.preset 'released' there, 'paper' now"),
        (["--conditional"], "conditioning () there, ('0', '1', "),
        (["--config=photo_patches", "--config.flow.num_scales=1"], "image_shape (8, 8, 1) there, (32, 32, 3) now"),
        (["--config=digits_plus"], "its flow is a Flow, that of this config a Glow. Name another run"),
    ],
    ids=["missing", "width", "preset", "conditional", "data", "kind"],
)
def test_weights_that_do_not_fit_are_refused(flags, message, whole, commands, tmp_path):
    done = commands(f"--run_dir={tmp_path / 'run'}", f"--init_from={whole[0]}", *flags)
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists() or not list((tmp_path / "run").rglob("step-*"))


@pytest.mark.timeout(3 * HANG_SECONDS)
def test_own_config_of_the_readme(tmp_path):
    section = (ROOT / "README.md").read_text().split("## Your own experiment")[1].split("\n## ")[0]
    (tmp_path / "stripes.py").write_text(re.search(r"```py\n(.*?)```", section, re.S)[1])
    lines = re.findall(r"^    python (-m examples\..*stripes\.py.*)$", section, re.M)
    assert len(lines) == 4
    printed = []
    for line in lines:
        done = subprocess.run(
            [sys.executable, *shlex.split(line)],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS,
        )
        assert (done.returncode, done.stderr) == (0, ""), done  # None of TensorFlow's own lines, either.
        printed.append(done.stdout)
    assert not any("warning" in text for text in printed)
    assert "from step 0 of 60" in printed[0]
    assert "resuming at step 60 of 120" in printed[1]
    assert "with the averaged weights of step 120 of " in printed[2]
    runs = tmp_path / "runs"
    assert result(runs / "stripes")["bits_per_dim"] < 7.2  # A uniform density has 8.
    assert result(runs / "slow")["bits_per_dim"] < result(runs / "stripes")["bits_per_dim"] + 0.1
    assert result(runs / "slow")["config"] == "stripes.py"
    # A directory may come from somebody else, so that what it names is not executed.
    (tmp_path / "stripes.py").write_text("raise SystemExit(7)")
    refused = run_python("from examples import command, evaluate\ncommand.run(evaluate.main)", f"--run={runs / 'slow'}")
    assert refused.returncode == 1
    assert f"a config of its user's own, {tmp_path / 'stripes.py'}: name that file, --config=FILE" in refused.stderr


def test_a_glow_starts_from_data_before_its_first_sheet_and_never_again(tmp_path, capsys):
    # A warning of the sheet of step 0, that nothing has started from data, would be an error here.
    config = dataclasses.replace(
        config_lib.get("digits_plus"), cosine_decay=False, warmup_steps=0, steps=4, evaluations=2
    )
    small = ["--config.flow.depth=2", "--config.flow.width=4", "--config.averaging=0.9"]
    run_here(config, f"--run_dir={tmp_path / 'run'}", *small)
    assert "test: " in capsys.readouterr().out
    start = tensors(tmp_path / "run" / "checkpoints" / "step-0")
    flags = [value for value in start.values() if value.dtype == bool]
    assert flags
    assert all(flags)
    found = result(tmp_path / "run")
    assert (found["preset"], found["values"]["flow"]["depth"]) == ("Glow", 2)
    assert np.isfinite(found["bits_per_dim"])
    for evaluations in (1, 2):
        steps = [f"--config.evaluations={evaluations}", f"--config.steps={2 * evaluations}"]
        run_here(config, f"--run_dir={tmp_path / 'resumed'}", *small, *steps)
    assert_same_end(tmp_path / "resumed", tmp_path / "run", step=4)


def test_the_large_config_of_glow_builds():
    config = config_lib.get("cifar10_plus_gpu")
    model = build_model(config, Form((32, 32, 3), 256, ()), 0)
    assert f"{count_parameters(model) / 1e6:.0f} million parameters" in cifar10_plus_gpu.__doc__
