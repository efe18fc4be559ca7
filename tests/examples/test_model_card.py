"""The card of an exported model states its data, its flow, its results and its licence, and marks what is unusual."""

import dataclasses
import json
import shutil
import types

import numpy as np
import pytest
import tensorflow as tf

from examples import config as config_lib
from examples import data, model_card, results
from examples import run as run_lib
from examples.data import tfds_sets
from tests.examples.commands import result

pytest.importorskip("sklearn")


def card(experiment, run="runs/it"):
    return model_card.model_card(experiment, run, f"python -m examples.export --run={run}")


def test_facts(trained, experiment):
    text, found = card(experiment), result(trained)
    for fact in (
        f"| data | {experiment.images.name} |",
        "| train | 1,397 images: first 1397 of a fixed shuffle |",
        "| test | 200 images: last 200 |",
        "| preprocessing | none; ",
        "| config | `digits` |",
        "| flow | num_scales 1, width 4, residual_blocks 0, preset released, squash None, ",
        "| values of the training | steps 60, evaluations 1, batch_size 64, optimizer adam, learning_rate 0.005, ",
        "| began with | random weights |",
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
        "8,192 images of 8x8x1",
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
    for gap in (0.08, -0.08, float("nan")):
        assert "may mean nothing" in card(changed(experiment, tmp_path, training_mode_gap=gap))
    # Early in training the running statistics lag by about 1 %, and nothing is wrong.
    assert "may mean nothing" not in card(changed(experiment, tmp_path, training_mode_gap=0.07, bits_per_dim=6.85))
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
