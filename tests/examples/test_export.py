"""`python -m examples.export` and the model card: what is written, what it says, and what is refused."""

import dataclasses
import json
import re
import shutil
import types

import numpy as np
import pytest
import tensorflow as tf

from examples import config as config_lib
from examples import data, evaluation, exporting, model_card, results
from examples import run as run_lib
from examples.data import tfds_sets
from tests.examples.commands import assert_refused, commands_of, contents, damaged, finished, opened, result, settings
from tests.models import assert_equal, values
from tfp_realnvp import bits_per_dim, dequantize

pytest.importorskip("sklearn")

PROGRAM = "export"
SEED = [3, 4]


@pytest.fixture
def run(trained, tmp_path):
    """A copy of the run."""
    return shutil.copytree(trained, tmp_path / "run")


@pytest.fixture(scope="module")
def experiment(trained):
    return opened(trained)


def card(experiment, run="runs/it"):
    return model_card.model_card(experiment, run, f"python -m examples.export --run={run}")


def paths(directory):
    return sorted(directory.rglob("*"))


# What is written.


def test_export(run, experiment, commands, capsys):
    before = contents(run)
    printed = finished(commands(f"--run={run}"))
    folder = run / "export" / "1"
    assert printed.startswith(f"digits: exporting the averaged weights of step 60 to {run / 'export'}; ")
    assert re.search(rf"\nmodel: +{folder}: [0-9.]+ MB, of which variables [0-9.]+ MB\n", printed)
    assert f"card:        {folder / 'MODEL_CARD.md'}\n" in printed
    assert re.search(r"\n  sample +count, \[height\], \[seed\], \[temperature\], \[width\] +-> pixels\n", printed)
    assert re.search(r"\n  serving_default +pixels, \[dequantize\], \[seed\] +-> bits_per_dim, log_prob\n", printed)
    assert {path: content for path, content in contents(run).items() if path in before} == before
    # It answers as the averaged weights do.
    served, pixels = tf.saved_model.load(str(folder)), experiment.images.test.pixels[:5]
    answer = served.serving_uint8(pixels, seed=SEED)
    last = values(experiment.model.distribution.variables)
    with experiment.model.evaluation_weights():
        assert any((a != b).any() for a, b in zip(last, values(experiment.model.distribution.variables), strict=True))
        log_prob = experiment.model.distribution.log_prob(dequantize(pixels, 17, seed=SEED))
    np.testing.assert_allclose(answer["log_prob"], log_prob, rtol=1e-5)
    np.testing.assert_allclose(answer["bits_per_dim"], bits_per_dim(log_prob, [8, 8, 1]), rtol=1e-5)
    assert served.sample(count=2)["pixels"].shape == [2, 8, 8, 1]
    # Once more: beside the old one.
    finished(commands(f"--run={run}", "--data_dir=/nowhere"))
    assert [path.name for path in sorted((run / "export").iterdir())] == ["1", "2"]
    # And what is printed to ask it with, is Python.
    ask = re.search(r"ask it: +python -c '(.*)'\n", printed).group(1)
    exec(ask, {})
    assert capsys.readouterr().out == "(4, 8, 8, 1)\n"
    text = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert text.startswith("# Real NVP on digits\n")
    assert "\n## Signatures\n" in text
    assert "`python -m examples.export --run=DIR`" in text
    assert str(run.parent) not in text


def test_of_a_conditional_run(trained_conditional, commands, tmp_path):
    run = shutil.copytree(trained_conditional, tmp_path / "run")
    printed = finished(commands(f"--run={run}", f"--directory={tmp_path / 'my models' / 'it'}"))
    exec(re.search(r"ask it: +python -c '(.*)'\n", printed).group(1), {})
    assert not (run / "export").exists()
    text = (tmp_path / "my models" / "it" / "1" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "| conditioning | in this order: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 |" in text
    assert "An exact density given 10 numbers" in text
    assert "`python -m examples.export --run=DIR '--directory=DIR'`" in text


# The card.


def test_facts(trained, experiment):
    text, found = card(experiment), result(trained)
    for fact in (
        f"| data | {experiment.images.name} |",
        "| train | 1,397 images: first 1397 of a fixed shuffle |",
        "| test | 200 images: last 200 |",
        "| preprocessing | none; ",
        "| config | `digits` |",
        "| preset | released |",
        "| flow | num_scales 1, width 4, residual_blocks 0 |",
        f"| parameters | {sum(int(np.prod(v.shape)) for v in experiment.model.trainable_variables):,} |",
        "| weights | averaged, of step 60 of 60 |",
        "3,840 images seen in batches of 64",
        "seed 0",
        "| trained by | `python -m examples.train --run_dir=DIR` |",
        "| exported by | `python -m examples.export --run=runs/it` |",
        f"tensorflow {tf.__version__}",
        f"| test | {found['bits_per_dim']:.3f} ± {found['standard_error']:.3f}, 1 noise draw |  | ",
        " | 200 (all 200: last 200) | `python -m examples.train --run_dir=DIR` |",
        "- train: these weights were not evaluated; `python -m examples.evaluate --run=runs/it --split=train`",
        "CC BY 4.0",
        "65,536 images of 8x8x1",
        "Nalisnick",
    ):
        assert fact in text, fact
    assert text.count("- validation: ") == 1
    assert "The paper has" not in text


def changed(experiment, tmp_path, **changes):
    """The experiment beside a changed result."""
    found = result(experiment.run.directory)
    (tmp_path / "result_test.json").write_text(json.dumps(found | changes))
    return dataclasses.replace(experiment, run=run_lib.Run(tmp_path, experiment.run.identity))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"step": 59}, "result_test.json is of step 59"),
        ({"identity": {"seed": 1}}, "result_test.json is of another run"),
        ({"statistics": "recalibrated on the first 960 training images"}, "statistics recalibrated on the first 960"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_result_of_other_weights_is_not_shown(changes, why, experiment, tmp_path):
    text = card(changed(experiment, tmp_path, **changes))
    assert why in text
    assert "- test: these weights were not evaluated" in text
    assert "--run=runs/it --split=test` evaluates these." in text
    assert "± " not in text


def test_results_of_all_kinds(experiment, tmp_path):
    weighted = {"samples": 16, "bits_per_dim": 2.0934, "standard_error": 0.0268}
    it = changed(experiment, tmp_path, noise_draws=4, importance_weighted=weighted)
    shutil.copy(tmp_path / "result_test.json", tmp_path / "result_train.json")
    text = card(it)
    assert text.count(", 4 noise draws | 2.093 ± 0.027, 16 samples |") == 2
    assert "were not evaluated" in text
    assert "may mean nothing" not in text
    for gap in (0.06, -0.06, float("nan")):
        assert "may mean nothing" in card(changed(experiment, tmp_path, training_mode_gap=gap))
    assert evaluation.LARGEST_GAP < 0.06
    with pytest.raises(ValueError, match=r"result_test.json: the field 'step'='x' must be of another type|step"):
        card(changed(experiment, tmp_path, step="x"))


def test_data_that_are_marked(experiment):
    images = dataclasses.replace(experiment.images, genuine=False, key="cifar10")
    marked = card(dataclasses.replace(experiment, images=images))
    assert "**subset or stand-in** |" in marked
    assert "The paper has" not in marked
    assert "bound no 8-bit code" in card(
        dataclasses.replace(experiment, images=dataclasses.replace(experiment.images, whole=False))
    )
    paper = card(dataclasses.replace(experiment, images=dataclasses.replace(images, genuine=True)))
    assert "- The paper has 3.49 on CIFAR-10" in paper
    unknown = card(dataclasses.replace(experiment, images=dataclasses.replace(images, key="mine")))
    assert "Not known here: check before use." in unknown


def test_every_config_has_a_licence_note(monkeypatch):
    monkeypatch.setattr(tfds_sets, "load", lambda data_set, data_dir, conditional: data_set)
    monkeypatch.setattr(data, "folder", lambda *arguments: types.SimpleNamespace(key="folder"))
    keys = {config_lib.get(name).load(config_lib.Sources()).key for name in config_lib.names()}
    assert keys == set(model_card.LICENCES)
    assert keys >= set(results.PAPER)
    assert all(len(note) > 40 for note in model_card.LICENCES.values())


def test_signatures_are_read_from_the_file(experiment, tmp_path):
    folder = exporting.export(experiment, tmp_path / "it", None)
    found = exporting.signatures(folder)
    assert list(found) == ["decode", "encode", "sample", "score", "serving_default", "serving_uint8", "units"]
    assert found["decode"] == (["latents"], ["pixels"])
    on_disk, of_variables = exporting.sizes(folder, experiment.model.distribution)
    assert 0 < of_variables < on_disk == sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def test_weights_stay(experiment, tmp_path):
    before = values(experiment.model.distribution.variables)
    exporting.export(experiment, tmp_path / "it", None)
    assert_equal(values(experiment.model.distribution.variables), before)


# What is refused.

WRONG = {
    "settings cut short": (damaged("settings.json", lambda c: c[:20]), ["settings.json is damaged", "once more"]),
    "another seed": (settings(seed=7), ["step-60 is of another run (seed: 0 there, 7 now)"]),
    "checkpoint cut short": (
        damaged("checkpoints/step-60.data-00000-of-00001", lambda c: c[: len(c) // 2]),
        ["step-60 can't be"],
    ),
    "no checkpoint": (lambda run: shutil.rmtree(run / "checkpoints"), ["holds no checkpoint; train it first: python"]),
    "result cut short": (
        damaged("result_test.json", lambda c: c[:20]),
        ["result_test.json: can't be read as JSON", "evaluate the run anew, or delete the file"],
    ),
    "result without a field": (
        damaged("result_test.json", lambda c: c.replace(b'"statistics"', b'"x"')),
        ["result_test.json: lacks the field 'statistics'"],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_run(name, run, commands):
    prepare, texts = WRONG[name]
    prepare(run)
    before = contents(run), paths(run)
    assert_refused(commands(f"--run={run}"), *texts)
    assert (contents(run), paths(run)) == before


def test_no_run(commands, tmp_path):
    assert_refused(commands(f"--run={tmp_path / 'absent'}"), "`run`=", "no run of examples.train")
    assert not list(tmp_path.iterdir())


def test_paths_of_flags(commands, tmp_path):
    """Shells leave ~ in a flag to the program; what lies on another machine is no path here."""
    home = f"import os\npatch.setitem(os.environ, 'HOME', {str(tmp_path)!r})"
    assert_refused(commands("--run=~/absent", setup=home), f"`run`={tmp_path / 'absent'}: no run of examples.train")
    done = commands("--run=gs://bucket/run")
    assert done.returncode == 1
    assert "--run=gs://bucket/run: must be on a file system of this machine" in done.stdout + done.stderr


def test_directory_is_a_file(run, commands):
    for directory in (run / "log.csv", run / "log.csv" / "deeper"):
        message = f"`directory`={directory}: {run / 'log.csv'} is a file; name a directory for the model."
        assert_refused(commands(f"--run={run}", f"--directory={directory}"), message)
    assert not (run / "export").exists()


def test_unexpected_argument(run, commands):
    done = commands(f"--run={run}", "here")
    assert done.returncode == 1
    assert "unexpected arguments ['here']; flags are written --name=value" in done.stdout + done.stderr
    assert not (run / "export").exists()


FULL = "resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))"
FULL_LATER = """
from examples import model_card
written = model_card.model_card

def fill(*arguments):
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    return written(*arguments)

patch.setattr(model_card, "model_card", fill)
"""


@pytest.mark.parametrize("there", [False, True], ids=["first", "second"])
@pytest.mark.parametrize("setup", [FULL, FULL_LATER], ids=["before", "meanwhile"])
def test_full_disk(setup, there, run, commands):
    if there:
        (run / "export" / "1").mkdir(parents=True)
    before = contents(run), paths(run)
    done = commands(f"--run={run}", setup=setup)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done
    message = "can't be written to (File too large)" if setup is FULL else "could not be written ("
    assert f"error: `directory`={run / 'export'}: {message}" in done.stderr
    assert (contents(run), paths(run)) == before


INTERRUPTED = """
import tensorflow as tf

def interrupted(*arguments, **options):
    os.kill(os.getpid(), signal.SIGINT)

patch.setattr(tf.saved_model, "save", interrupted)
"""


def test_ctrl_c(run, commands):
    before = contents(run), paths(run)
    done = commands(f"--run={run}", setup=INTERRUPTED)
    assert (done.returncode, done.stderr) == (130, "stopped; nothing was exported\n")
    assert (contents(run), paths(run)) == before


# The benchmark.


def test_benchmark(run, tmp_path):
    before = contents(run), paths(run)
    arguments = [f"--run={run}", "--seconds=0.1", "--batch_size=3", f"--json={tmp_path / 'figures.json'}"]
    with commands_of("benchmark_serving") as benchmark:
        printed = finished(benchmark(*arguments, setup="patch.setattr(program, '_STARTS', 1)"))
        assert_refused(benchmark("--run=absent"), "`run`=absent: no run of examples.train")
    assert (contents(run), paths(run)) == before
    figures = json.loads((tmp_path / "figures.json").read_text())
    begins, size = figures["seconds_to_start"], figures["bytes"]
    stages = sum(begins[stage] for stage in ("import tensorflow", "load", "first answer"))
    assert begins["total"] == pytest.approx(stages)
    assert size["on_disk"] > size["of_variables"] > 0
    for speed in figures["images_per_second"].values():
        assert speed["ratio"] > 0
        assert speed["turns"] >= 5
    assert re.search(r"\nserving_default +[0-9,.]+ +[0-9,.]+ +[0-9.]+\nsample ", printed)
