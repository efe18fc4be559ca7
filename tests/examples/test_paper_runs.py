"""The training program runs on every data set of the paper; on a damaged one it ends in one clear line."""

import json

import numpy as np
import pytest

from examples import config as config_lib
from examples.data import record_images, tfds_reader
from tests.examples.commands import result
from tests.examples.data.prepared import TFDS, examples, write_tfds
from tests.examples.training_runs import assert_finite, assert_sheets, narrow, run_here

pytest.importorskip("tensorflow_datasets")

# Resuming traces the whole program once more, so only these runs are resumed.
RESUMED = ("cifar10", "lsun_church", "celeba --conditional")
PAPER = ("cifar10", "imagenet32", "imagenet64", "lsun_bedroom", "lsun_tower", "lsun_church", "celeba")


@pytest.mark.slow
@pytest.mark.parametrize("name", [*PAPER, "celeba --conditional", "celeba_unrounded"])
def test_run(name, tmp_path, capsys):
    if not TFDS.is_dir():
        pytest.skip(f"no prepared data sets in {TFDS}")
    resumed = name in RESUMED
    name, *conditional = name.split()
    run_dir = tmp_path / "run"
    arguments = [f"--config={name}", f"--data_dir={TFDS}", f"--run_dir={run_dir}", *conditional]
    options = {
        "batch_size": 8,
        "validation_images": 8,
        "test_images": 12,
        "steps_per_execution": 1 + (name == "lsun_church"),
    }
    run_here(narrow(name, steps=2, evaluations=1, **options), *arguments)
    found, paper = result(run_dir), config_lib.get(name)
    assert np.isfinite(found["bits_per_dim"])
    assert found["values"]["flow"]["num_scales"] == paper.flow.num_scales
    assert (found["config"], found["step"], found["images"], found["split"]) == (name, 2, 12, "test")
    assert found["genuine"] == (name == "cifar10")
    assert found["bound"] == (name != "celeba_unrounded")
    assert found["conditional"] == bool(conditional)
    assert ("PART OR STAND-IN" in found["data"]) == (name != "cifar10")
    assert found["image_shape"] == ([32, 32, 3] if name in ("cifar10", "imagenet32") else [64, 64, 3])
    assert found["identity"]["flip"] == (not name.startswith("imagenet"))
    assert len(found["identity"]["conditioning"]) == 40 * bool(conditional)
    assert found["training_command"].endswith("--conditional") == bool(conditional)
    assert json.loads((run_dir / "settings.json").read_text())["config"] == name
    assert_sheets(run_dir, 0, 2)
    printed = capsys.readouterr().out
    assert ("a bound of no 8-bit code" in printed) == (name == "celeba_unrounded")
    assert ("40 numbers to condition on" in printed) == bool(conditional)

    if resumed:
        run_here(narrow(name, steps=4, evaluations=2, **options), *arguments)
        assert "resuming at step 2 of 4" in capsys.readouterr().out
        assert result(run_dir)["step"] == 4
        assert_sheets(run_dir, 0, 2, 4)
        assert_finite(run_dir / "checkpoints" / "step-4")


def test_a_record_damaged_on_the_way(tmp_path, monkeypatch):
    """One clear line that names the file and the last checkpoint."""
    key = "downsampled_imagenet/32x32"
    monkeypatch.setattr(tfds_reader, "_IN_MEMORY", 0)
    monkeypatch.setattr(record_images, "_WINDOW", 8)
    splits = {"train": list(examples(key, 120)), "validation": list(examples(key, 8))}
    folder = write_tfds(key, tmp_path, splits, num_shards=3)
    # The damage lies behind the 64 images that are shown first, and before the last ones, which are held out.
    (damaged,) = folder.glob("*-train.tfrecord-00001-of-00003")
    content = bytearray(damaged.read_bytes())
    content[int(0.9 * len(content))] ^= 0xFF
    damaged.write_bytes(content)
    options = {"steps": 30, "evaluations": 10, "batch_size": 8, "steps_per_execution": 1, "validation_images": 2}
    config = narrow("imagenet32", num_scales=1, **options)
    with pytest.raises(SystemExit) as caught:
        run_here(config, "--config=imagenet32", f"--data_dir={tmp_path}", f"--run_dir={tmp_path / 'run'}")
    error, checkpoint = str(caught.value).splitlines()
    assert error.startswith(f"error: {damaged}: corrupted record at ")
    assert error.endswith("; delete the folder of this file and run again to prepare the data anew.")
    step = int(checkpoint.removeprefix(f"last good checkpoint: {tmp_path / 'run' / 'checkpoints' / 'step-'}"))
    assert 3 <= step < 20
    assert (tmp_path / "run" / "checkpoints" / f"step-{step}.index").exists()
    assert damaged.read_bytes() == content
