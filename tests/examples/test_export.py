"""`python -m examples.export` writes a model that answers as the averaged weights do, and says how to ask it."""

import re
import shutil

import numpy as np
import pytest
import tensorflow as tf

from examples import exporting
from tests.examples.commands import ROOT, contents, finished
from tests.models import assert_equal, values
from tfp_realnvp import FlowModel, bits_per_dim, dequantize, load_flow

pytest.importorskip("sklearn")

PROGRAM = "export"
SEED = [3, 4]


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
    # Another export goes beside the old one.
    finished(commands(f"--run={run}", "--data_dir=/nowhere"))
    assert [path.name for path in sorted((run / "export").iterdir())] == ["1", "2"]
    # The commands that are printed to ask and load it with are Python.
    for what in ("ask", "load"):
        exec(re.search(rf"{what} it: +python -c '(.*)'\n", printed).group(1), {})
        assert capsys.readouterr().out == "(4, 8, 8, 1)\n"
    # What is loaded has the averaged weights.
    loaded = FlowModel(load_flow(run / "export"))
    np.testing.assert_allclose(loaded.log_prob(pixels, seed=SEED), log_prob, rtol=1e-5)
    section = (ROOT / "README.md").read_text().split("## From a run to Python")[1]
    code, names = re.search(r"```py\n(.*?)```", section, re.S)[1], {}
    exec(code.replace("runs/digits", str(run)), names)
    assert (names["pixels"].dtype, names["pixels"].shape, names["nats"].shape) == (tf.uint8, [4, 8, 8, 1], [4])
    text = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert text.startswith("# Real NVP on digits\n")
    assert "\n## Signatures\n" in text
    assert "`python -m examples.export --run=DIR`" in text
    assert str(run.parent) not in text


def test_of_a_conditional_run(trained_conditional, commands, tmp_path):
    run = shutil.copytree(trained_conditional, tmp_path / "run")
    printed = finished(commands(f"--run={run}", f"--directory={tmp_path / 'my models' / 'it'}"))
    for what in ("ask", "load"):
        exec(re.search(rf"{what} it: +python -c '(.*)'\n", printed).group(1), {})
    assert not (run / "export").exists()
    text = (tmp_path / "my models" / "it" / "1" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "| conditioning | in this order: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 |" in text
    assert "An exact density given 10 numbers" in text
    assert "`python -m examples.export --run=DIR '--directory=DIR'`" in text


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
