"""An export takes the place of its run: --run=runs/digits/export."""

import dataclasses
import json
import shutil

import numpy as np
import PIL.Image
import pytest

from examples import config as config_lib
from examples import experiment as experiment_lib
from examples import exported_run, exporting
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


def test_paths_that_somebody_wrote_into_it_are_not_read(exported, commands, tmp_path):
    directory = shutil.copytree(exported, tmp_path / "digits")
    path = directory / "1" / "run.json"
    record = json.loads(path.read_text())
    record["settings"]["sources"] |= {"data_dir": "gs://somewhere/else", "folder": "/somewhere/else"}
    path.write_text(json.dumps(record))
    sources = exported_run.find(directory).settings.sources
    assert (sources.data_dir, sources.folder) == (None, None)


def test_a_run_is_no_export_of_itself(trained, exported, commands, tmp_path):
    directory = shutil.copytree(trained, tmp_path / "digits")
    shutil.copytree(exported / "1", directory / "1")
    assert exported_run.find(directory) is None
    with pytest.raises(ValueError, match=r"`directory`=.*digits: is the directory of a run; name another, e.g."):
        exporting.check_directory(directory)


def test_an_export_of_pictures_gets_their_folder_by_the_flag(exported, commands, tmp_path):
    directory = shutil.copytree(exported, tmp_path / "pictures")
    path = directory / "1" / "run.json"
    record = json.loads(path.read_text())
    config = dataclasses.replace(config_lib.get("folder"), batch_size=1)
    record["settings"] |= {"config": "folder", "values": config.values}
    path.write_text(json.dumps(record))
    assert_refused(commands(f"--run={directory}"), "`folder`=None")
    # Its pictures are found, and then are not those of the record.
    folder = tmp_path / "folder"
    folder.mkdir()
    for i in range(100):
        PIL.Image.new("RGB", (32, 32), (i, 0, 0)).save(folder / f"{i}.png")
    assert_refused(commands(f"--run={directory}", f"--folder={folder}"), "config: 'digits' there, 'folder' now")


def of_another_flow(record):
    record["settings"]["values"]["flow"]["width"] = 5
    return {**record, "identity": {**record["identity"], "flow": {**record["identity"]["flow"], "width": 5}}}


def with_scales(record):
    record["settings"]["values"]["flow"]["num_scales"] = 10**18
    return record


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda record: None, "run.json is missing, damaged, or of another version of this project"),
        (lambda record: {**record, "step": "many"}, "its identity or step is of another type"),
        (lambda record: {**record, "step": -1}, "its identity or step is of another type"),
        (lambda record: {**record, "seconds": float("nan")}, "its seconds are nan"),
        (lambda record: {**record, "settings": {**record["settings"], "command": 1}}, "`command`=1: must be text"),
        (with_scales, "`num_scales`=1000000000000000000: must be at most 16"),
        (of_another_flow, "its flow is not that of its record (width 4 there, 5 here); export the run once more"),
        (lambda record: {"settings": record["settings"]}, "export the run once more"),
        (lambda record: {**record, "identity": {**record["identity"], "levels": 16}}, "levels: 16 there, 17 now"),
    ],
    ids=["missing", "step", "negative", "seconds", "command", "scales", "flow", "fields", "data"],
)
def test_refused(change, message, exported, commands, tmp_path):
    directory = shutil.copytree(exported, tmp_path / "digits")
    path = directory / "1" / "run.json"
    record = change(json.loads(path.read_text()))
    path.unlink() if record is None else path.write_text(json.dumps(record))
    assert_refused(commands(f"--run={directory}"), message)
    assert not (directory / "result_test.json").exists()
