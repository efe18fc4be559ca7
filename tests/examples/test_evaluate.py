"""`python -m examples.evaluate`: numbers in closed form, those of training, spoiled statistics, and what is refused."""

import contextlib
import csv
import dataclasses
import fcntl
import json
import math
import os
import pty
import shutil
import struct
import subprocess
import sys
import termios
import types

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from examples import config as config_lib
from examples import evaluation, experiment, results
from examples import run as run_lib
from examples.data import ArrayImages, ImageData
from examples.data.images import Images
from tests.examples.commands import (
    ENVIRONMENT,
    SMALL,
    assert_refused,
    contents,
    damaged,
    finished,
    opened,
    python,
    result,
    settings,
)
from tests.models import DIMENSIONS, SHAPE, assert_equal, compiled, images, normal, normal_bits, on_prior, tiny, values
from tfp_realnvp import PixelLogit, RunningStatistics

tfd = tfp.distributions

pytest.importorskip("sklearn")

PROGRAM = "evaluate"
NATS = DIMENSIONS * math.log(2)


@pytest.fixture
def run(trained, tmp_path):
    """A copy of the run, without the result of its training."""
    directory = tmp_path / "run"
    shutil.copytree(trained, directory)
    (directory / "result_test.json").unlink()
    return directory


# Numbers in closed form.


def known(distribution, pixels, tmp_path, *, whole=True, **options):
    """An `Experiment` around a distribution that NumPy knows; all splits are these pixels."""
    model = compiled(distribution, dequantize=whole, seed=3)
    if whole:
        split = ArrayImages(pixels.astype(np.uint8))
    else:
        split = Unrounded(np.zeros(pixels.shape, np.uint8), pixels.reshape(len(pixels), -1).astype(np.float32))
        split.conditioning_size = 0
    names = ("train", "validation", "test")
    data = ImageData("k", "known", **dict.fromkeys(names, split), levels=256, splits=dict.fromkeys(names, "x"))
    config = config_lib.Config(load=lambda sources: data, flow={}, steps=1, evaluations=1, batch_size=8)
    return experiment.Experiment(
        experiment.Settings("known", config_lib.Sources()),
        dataclasses.replace(config, **options),
        dataclasses.replace(data, whole=whole),
        model,
        run_lib.Run(tmp_path, {}),
        types.SimpleNamespace(checkpoint=types.SimpleNamespace(seconds=tf.Variable(60.0))),
    )


class Unrounded(ArrayImages):
    """Pixels with their noise, kept as rows beside images of zeros."""

    dtype = tf.float32

    def example(self, record, seed):
        return tf.reshape(super().example(record, seed)[1], SHAPE), None


def logit_bits(y):
    """bits/dim [N] of a standard normal behind `PixelLogit`, float64."""
    p = 0.05 + 0.9 * np.asarray(y, np.float64) / 256
    x = np.log(p / (1 - p))
    log_prob = -0.5 * x**2 - 0.5 * np.log(2 * np.pi) + np.log(0.9 / 256) - np.log(p) - np.log(1 - p)
    return -log_prob.sum((1, 2, 3)) / NATS


@pytest.mark.parametrize(
    ("distribution", "bits"),
    [(normal, normal_bits), (lambda: on_prior(PixelLogit()), logit_bits)],
    ids=["normal", "flow"],
)
def test_closed_form(distribution, bits, tmp_path):
    y = images(21) + np.random.RandomState(1).uniform(size=[21, *SHAPE]).astype(np.float32)
    found, per_image = evaluation.evaluate(known(distribution(), y, tmp_path, whole=False), "test", "it")
    expected = bits(y)
    np.testing.assert_allclose(per_image["bits_per_dim"], expected, rtol=1e-5)
    assert found["bits_per_dim"] == pytest.approx(expected.mean(), abs=1e-5)
    assert found["standard_error"] == pytest.approx(expected.std() / math.sqrt(21), rel=1e-4)
    assert found["standard_error"] == per_image["bits_per_dim"].std() / math.sqrt(21)
    assert (found["images"], found["split_is"], found["bound"]) == (21, "all 21: x", False)
    assert found["training_mode_gap"] == pytest.approx(0, abs=1e-6)
    assert found["importance_weighted"] is None


def test_uniform_has_eight_bits_whatever_the_noise(tmp_path):
    distribution = tfd.Independent(tfd.Uniform(tf.zeros(SHAPE), 256.0), 3)
    found, _ = evaluation.evaluate(
        known(distribution, images(9), tmp_path), "test", "it", noise_draws=2, importance_samples=4
    )
    assert (found["bits_per_dim"], found["standard_error"]) == (pytest.approx(8, abs=1e-5), pytest.approx(0, abs=1e-6))
    assert found["importance_weighted"]["bits_per_dim"] == pytest.approx(8, abs=1e-5)


# As narrow as a pixel's bin, so that the bounds differ from the truth and from each other.
LOC, SCALE = 100.3, 1.0


def narrow(tmp_path, count=21, **options):
    x = np.floor(np.random.RandomState(0).normal(LOC, SCALE, [count, *SHAPE]))
    return x, known(tfd.Independent(tfd.Normal(tf.fill(SHAPE, LOC), SCALE), 3), x, tmp_path, **options)


def test_draws_and_bounds_are_those_of_predict(tmp_path):
    x, it = narrow(tmp_path)
    draws = np.stack([it.model.predict(x, batch_size=8, draw=k, verbose=0) for k in range(16)]).astype(np.float64)
    cdf = np.vectorize(lambda v: 0.5 * math.erfc(-(v - LOC) / SCALE / math.sqrt(2)))
    exact = -np.log(cdf(x + 1) - cdf(x)).sum((1, 2, 3)).mean() / NATS
    bounds = []
    for number in (1, 4, 16):
        found, per_image = evaluation.evaluate(
            it, "test", "it", noise_draws=number, importance_samples=number, count=20
        )
        plain = draws[:number, :20].mean(0)
        np.testing.assert_allclose(per_image["bits_per_dim"], plain, rtol=1e-12)
        assert found["bits_per_dim"] == pytest.approx(plain.mean(), rel=1e-12)
        assert found["standard_error"] == pytest.approx(plain.std() / math.sqrt(20), rel=1e-12)
        assert (found["noise_draws"], found["images"], found["split_is"]) == (number, 20, "first 20 of 21: x")
        if number == 1:
            assert list(per_image) == ["bits_per_dim"]
            bounds.append(found["bits_per_dim"])
            continue
        expected = -np.log(np.exp(-draws[:number, :20] * NATS).mean(0)) / NATS
        np.testing.assert_allclose(per_image["importance_weighted"], expected, rtol=1e-12)
        weighted = found["importance_weighted"]
        assert weighted["samples"] == number
        assert weighted["bits_per_dim"] == pytest.approx(expected.mean(), rel=1e-12)
        assert weighted["standard_error"] == pytest.approx(expected.std() / math.sqrt(20), rel=1e-12)
        bounds.append(weighted["bits_per_dim"])
        # Of the same draws it is never above, and by Jensen on average not below the truth.
        assert (expected <= plain).all()
        assert weighted["bits_per_dim"] > exact - 2 * weighted["standard_error"]
    assert bounds[0] > bounds[1] > bounds[2]
    assert abs(bounds[2] - exact) < 0.3 * (bounds[0] - exact)


def test_files_of_unknown_length_in_executions_of_several_steps(tmp_path):
    x, it = narrow(tmp_path)

    class Files(Images):
        shape = SHAPE

        def __len__(self):
            return len(x)

        def in_order(self):
            return tf.data.Dataset.from_tensor_slices(x.astype(np.uint8)).filter(lambda image: True)

        def shuffled(self, seed, start):
            raise NotImplementedError

        def example(self, record, seed):
            return record, None

        def damage(self):
            return None

    several = compiled(it.model.distribution, seed=3, options={"steps_per_execution": 2})
    files = dataclasses.replace(it, images=dataclasses.replace(it.images, test=Files()), model=several)
    expected, per_image = evaluation.evaluate(it, "test", "it", noise_draws=2)
    found, of_files = evaluation.evaluate(files, "test", "it", noise_draws=2)
    assert found["bits_per_dim"] == expected["bits_per_dim"]
    np.testing.assert_array_equal(of_files["bits_per_dim"], per_image["bits_per_dim"])


@pytest.mark.parametrize("averaging", [None, 0.5])
def test_weights_are_those_of_evaluate_and_stay(averaging, tmp_path):
    _, it = narrow(tmp_path)
    model = compiled(tiny(), averaging=averaging)
    model.fit(images(32), batch_size=8, verbose=0)
    it = dataclasses.replace(it, model=model, config=dataclasses.replace(it.config, averaging=averaging))
    kept = [*model.distribution.variables, *(model.averages.variables if averaging else ())]
    before = values(kept)
    found, _ = evaluation.evaluate(it, "test", "it")
    assert found["bits_per_dim"] == pytest.approx(model.evaluate(it.images.test.pixels, batch_size=8, verbose=0)[1])
    assert found["weights"] == ("last" if averaging is None else "averaged")
    assert_equal(values(kept), before)


def test_not_finite(tmp_path):
    x, it = narrow(tmp_path)
    x[12] = np.nan
    with pytest.raises(FloatingPointError, match=r"1 of 21 images is not finite, of image 12 first.*--recalibrate"):
        evaluation.evaluate(known(normal(), x, tmp_path, whole=False), "test", "it")
    found, _ = evaluation.evaluate(it, "test", "it")
    assert "warning" not in evaluation.report(found)
    assert "warning" in evaluation.report(found | {"training_mode_gap": math.nan})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"noise_draws": 2, "importance_samples": 5},
            "`noise_draws`=2: must be 1 for known, whose pixels are no whole",
        ),
        ({"importance_samples": 5}, "`importance_samples`=5: must be 1 for known.*leave it out"),
        ({"noise_draws": 0}, "`noise_draws`=0: must be an int of at least 1"),
        ({"importance_samples": 1.5}, "`importance_samples`=1.5: must be an int of at least 1"),
        ({"count": 0}, "`images`=0: must be an int of at least 1"),
        ({"recalibration_images": -1}, "`recalibrate`=-1: must be an int of at least 0"),
    ],
    ids=str,
)
def test_refused_request(arguments, message, tmp_path):
    it = known(normal(), images(), tmp_path, whole=False)
    with pytest.raises(ValueError, match=message):
        evaluation.evaluate(it, "test", "it", **arguments)


def test_recalibration_says_how_many_images_it_took(tmp_path):
    _, it = narrow(tmp_path)
    for count, taken in {3: 3, 1000: 16}.items():  # 21 images, in batches of 8, a smaller last one left out.
        fresh = dataclasses.replace(it, model=compiled(tiny()))
        found, _ = evaluation.evaluate(fresh, "test", "it", recalibration_images=count)
        assert found["statistics"] == f"recalibrated on the first {taken} training images"


# The command on trained runs.


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
    assert printed.count("\n") == 2  # And no warning.
    before = contents(trained)
    assert {p.relative_to(run) for p in contents(run)} == {p.relative_to(trained) for p in before}
    for path, content in before.items():
        if path.name != "result_test.json":
            assert (run / path.relative_to(trained)).read_bytes() == content
    # And `examples.results` makes a line of it.
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
        assert (per_image["importance_weighted"] < per_image["bits_per_dim"]).all()  # Of the same draws.
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
    settings = experiment.Settings("folder", sources)
    settings.write(tmp_path / "here" / "run" / "settings.json")
    monkeypatch.chdir(tmp_path / "there")
    read = experiment.Settings.read(tmp_path / "here" / "run" / "settings.json")
    assert read == settings
    assert read.sources.folder == str(tmp_path / "here" / "my pictures")
    assert read.sources.data_dir == str(tmp_path / "here" / "data")
    assert config_lib.Sources("gs://bucket/data").data_dir == "gs://bucket/data"


# The digits, but only where `data_dir` is.
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
    assert result(run)["training_command"] == settings["command"]  # What trained it.
    (tmp_path / "old").mkdir()
    finished(commands(f"--run={run}", "--images=2", setup=FROM_DATA_DIR))


# What is refused.


def no_checkpoint(run):
    shutil.rmtree(run / "checkpoints")


WRONG = {
    "settings cut short": (damaged("settings.json", lambda c: c[:20]), ["settings.json is damaged", "once more"]),
    "settings of bytes": (damaged("settings.json", lambda c: b"\xff\0"), ["settings.json is damaged", "once more"]),
    "settings a list": (damaged("settings.json", lambda c: b"[]"), ["settings.json is damaged", "once more"]),
    "unknown setting": (settings(batch=3), ["settings.json is damaged", "'batch'", "once more"]),
    "unknown source": (settings(sources={"cloud": 1}), ["settings.json is damaged", "'cloud'", "once more"]),
    "data_dir is a number": (settings(sources={"data_dir": 1}), ["settings.json is damaged", "once more"]),
    "unknown config": (settings(config="digit"), ["`config`='digit': must be one of celeba"]),
    "config is a number": (settings(config=3), ["`config`=3: must be one of celeba"]),
    "steps are text": (settings(steps="4"), ["`steps`='4': must be an int"]),
    "data_dir is gone": (
        settings(config="cifar10", sources={"data_dir": "/absent"}),
        ["`data_dir`='/absent': no such directory"],
    ),
    "another seed": (
        settings(seed=7),
        ["step-60 is of another run (seed: 0 there, 7 now); undo that, or, to train anew, name another `run_dir`"],
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


def test_config_changed_since(run, commands):
    changed = "other = dataclasses.replace(small, batch_size=32)\npatch.setattr(config, 'get', lambda name: other)"
    assert_refused(commands(f"--run={run}", setup=changed), "another run (batch_size: 64 there, 32 now); undo that")
    assert not (run / "result_test.json").exists()


def test_no_run(commands, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("text")
    for name in ("absent", "empty", "file"):
        message = f"`run`={tmp_path / name}: no run of examples.train, which would have settings.json; name a run's"
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
        (["run"], "unexpected arguments ['run']; flags are written --name=value"),
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

def unrounded(*arguments):
    opened = open_run(*arguments)
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
    if when == "before":  # Refused before any work.
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


def test_bar_on_a_terminal_only(run, commands):
    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))  # Of no rows at first.
    code = SMALL + "from examples import evaluate\napp.run(evaluate.main)"
    process = python(code, f"--run={run}", "--noise_draws=4", stderr=end, cwd=run.parent)
    os.close(end)
    shown = b""
    with contextlib.suppress(OSError):  # Which is how a terminal ends.
        while chunk := os.read(terminal, 4096):
            shown += chunk
    os.close(terminal)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert b"evaluating:" in shown
    assert b"/16 " in shown  # Batches: 4 draws of 200 images in batches of 64.
    assert [line.split(":")[0] for line in printed.splitlines()] == ["test", "result"]
    assert finished(commands(f"--run={run}", "--noise_draws=4")) == printed  # Here without a bar.


def test_refused_as_a_program(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "examples.evaluate", "--run=absent"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    message = "error: `run`=absent: no run of examples.train, which would have settings.json; name a run's directory"
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith(message)
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
