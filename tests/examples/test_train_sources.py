"""`examples.train` trains on a folder of pictures, on CIFAR-10 and on photo patches."""

import numpy as np
import pytest
import tensorflow as tf

from tests.examples.commands import result
from tests.examples.data.prepared import TFDS
from tests.examples.training_runs import assert_sheets, narrow, run_here

pytest.importorskip("sklearn")


def test_folder(tmp_path, capsys):
    pillow = pytest.importorskip("PIL.Image")
    (tmp_path / "pictures" / "more").mkdir(parents=True)
    for i in range(80):
        noise = np.random.RandomState(i).randint(0, 256, [3, 5, 3]).astype(np.uint8)
        place = tmp_path / "pictures" / ("more" if i % 2 else "") / f"{i}.{'jpg' if i % 3 else 'png'}"
        pillow.fromarray(noise).resize([20 + i, 24]).save(place)
    run_dir = tmp_path / "run"
    arguments = ["--config=folder", f"--folder={tmp_path / 'pictures'}", "--image_size=16", f"--run_dir={run_dir}"]
    run_here(narrow("folder", num_scales=1), *arguments)
    found = result(run_dir)
    assert found["data"] == "folder pictures, 80 pictures at 16x16"
    assert found["identity"]["image_shape"] == [16, 16, 3]
    assert np.isfinite(found["bits_per_dim"])
    assert found["images"] > 0
    assert found["split_is"].startswith(f"all {found['images']}: the first ")
    assert_sheets(run_dir, 0, 2)
    # The samples are enlarged to 64.
    assert tf.io.decode_png((run_dir / "samples_0000002.png").read_bytes()).shape[0] == 8 * 66 - 2
    assert "test: " in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.skipif(not TFDS.is_dir(), reason=f"no prepared CIFAR-10 in {TFDS}")
def test_cifar10(tmp_path):
    config = narrow("cifar10_small", test_images=64)
    run_here(config, "--config=cifar10_small", f"--data_dir={TFDS}", f"--run_dir={tmp_path / 'run'}")
    found = result(tmp_path / "run")
    assert found["data"] == "cifar10 3.0.2 (TFDS)"
    assert found["split_is"] == "first 64 of 10,000: test"
    assert np.isfinite(found["bits_per_dim"])
    assert_sheets(tmp_path / "run", 0, 2)


@pytest.mark.slow
def test_photo_patches(tmp_path):
    config = narrow("photo_patches", test_images=64)
    run_here(config, "--config=photo_patches", f"--run_dir={tmp_path / 'run'}")
    found = result(tmp_path / "run")
    assert found["images"] == 64
    assert np.isfinite(found["bits_per_dim"])
    assert_sheets(tmp_path / "run", 0, 2)
