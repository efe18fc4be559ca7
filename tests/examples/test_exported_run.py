"""An export takes the place of its run: --run=runs/digits/export."""

import json
import shutil

import numpy as np
import pytest

from examples import experiment as experiment_lib
from examples import exporting
from tests.examples.commands import assert_refused, finished, opened, result

pytest.importorskip("sklearn")

PROGRAM = "evaluate"


@pytest.fixture(scope="module")
def exported(trained, experiment, tmp_path_factory):
    """The directory of an export of the run `trained`; not to be written."""
    directory = tmp_path_factory.mktemp("exported") / "digits"
    exporting.export(experiment, directory, None)
    return directory


def test_it_is_evaluated_as_its_run(trained, exported, commands, tmp_path):
    directory = shutil.copytree(exported, tmp_path / "digits")
    printed = finished(commands(f"--run={directory}"))
    of_run, found = result(trained), result(directory)
    np.testing.assert_allclose(found["bits_per_dim"], of_run["bits_per_dim"], rtol=1e-6)
    assert f"{directory / 'result_test.json'}" in printed
    for same in ("identity", "step", "minutes", "images_seen", "weights"):
        assert found[same] == of_run[same], same


def test_it_samples_as_its_run(experiment, exported):
    there = opened(exported, experiment_lib.open_run)
    assert (there.step, there.seconds) == (60, experiment.seconds)
    np.testing.assert_allclose(
        there.model.sample(3, seed=(1, 2), whole=False), experiment.model.sample(3, seed=(1, 2), whole=False), rtol=1e-5
    )
    # An export of it is a model of the same weights.
    again = exporting.export(there, exported / "export", None)
    record = json.loads((again / "run.json").read_text())
    assert record == json.loads((exported / "1" / "run.json").read_text())


def test_it_names_no_path_of_the_machine(trained, exported):
    text = (exported / "1" / "run.json").read_text()
    assert str(trained.parent) not in text
    assert json.loads(text)["settings"]["command"] == "python -m examples.train --run_dir=DIR"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda record: None, "run.json is missing, damaged, or of another version of this project"),
        (lambda record: {**record, "step": "many"}, "its identity or step is of another type"),
        (lambda record: {"settings": record["settings"]}, "export the run once more"),
        (lambda record: {**record, "identity": {**record["identity"], "levels": 16}}, "levels: 16 there, 17 now"),
    ],
    ids=["missing", "step", "fields", "data"],
)
def test_refused(change, message, exported, commands, tmp_path):
    directory = shutil.copytree(exported, tmp_path / "digits")
    path = directory / "1" / "run.json"
    record = change(json.loads(path.read_text()))
    path.unlink() if record is None else path.write_text(json.dumps(record))
    assert_refused(commands(f"--run={directory}"), message)
    assert not (directory / "result_test.json").exists()
