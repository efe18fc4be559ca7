"""The published weights give the published figures, and what the README's first block says."""

import json
import re

import numpy as np
import pytest
import tensorflow as tf

from examples import evaluation, experiment
from examples.run import without_versions
from tests.examples.commands import ROOT
from tests.examples.data.prepared import TFDS

PUBLISHED = ROOT / "examples" / "published"
CIFAR10 = "cifar10_plus_small"
MODELS = sorted(path.parent.parent.name for path in PUBLISHED.glob("*/*/flow.json"))


def _published(name):
    return json.loads((PUBLISHED / name / "result_test.json").read_text())


def test_there_are_those_of_the_digits_and_of_the_best_flow():
    assert MODELS == [CIFAR10, "digits"]


def test_all_take_at_most_30_megabytes():
    files = [path for name in MODELS for path in (PUBLISHED / name / "1").rglob("*")]
    assert sum(path.stat().st_size for path in files) < 30e6


def _check_record(found, published):
    for same in ("step", "images_seen", "weights", "seed"):
        assert found[same] == published[same], same
    assert without_versions(found["identity"]) == without_versions(published["identity"])


def test_the_digits_have_their_figure():
    pytest.importorskip("sklearn")
    opened, published = experiment.open_run(PUBLISHED / "digits"), _published("digits")
    found, _ = evaluation.evaluate(opened, "test", "python -m examples.evaluate", noise_draws=published["noise_draws"])
    np.testing.assert_allclose(found["bits_per_dim"], published["bits_per_dim"], atol=1e-3)
    _check_record(found, published)


@pytest.mark.skipif(not TFDS.is_dir(), reason="no prepared CIFAR-10")
def test_the_first_500_images_of_cifar10_have_the_figure_of_all():
    pytest.importorskip("tensorflow_datasets")
    opened, published = experiment.open_run(PUBLISHED / CIFAR10, data_dir=str(TFDS)), _published(CIFAR10)
    found, per_image = evaluation.evaluate(opened, "test", "python -m examples.evaluate", count=500)
    assert len(per_image["bits_per_dim"]) == 500
    assert abs(found["bits_per_dim"] - published["bits_per_dim"]) < 2 * found["standard_error"]
    _check_record(found, published)


@pytest.mark.parametrize("name", MODELS)
def test_each_has_a_model_card_with_its_figure(name):
    card = (PUBLISHED / name / "1" / "MODEL_CARD.md").read_text()
    assert f"| test | {_published(name)['bits_per_dim']:.3f} ± " in card


def test_the_first_block_of_the_readme_draws_and_scores(monkeypatch):
    monkeypatch.chdir(ROOT)
    names = {}
    exec(re.search(r"```py\n(.*?)```", (ROOT / "README.md").read_text(), re.S)[1], names)
    assert (names["pictures"].dtype, names["pictures"].shape) == (tf.uint8, [16, 32, 32, 3])
    # Real pictures have 3.6; noise has 8 or more.
    assert np.all(np.abs(names["bits"] - 3.7) < 1)
