"""The folder of an export suits TensorFlow Serving and `saved_model_cli`, and says what its signatures take."""

import pathlib
import re
import sys

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_serving.apis import prediction_log_pb2

from tests import models
from tests.saving.exports import ALONE, LEVELS, make_distribution, pixels_of_levels, run_program
from tfp_realnvp import dequantize, export_saved_model, quantize, save_flow

tfd = tfp.distributions


def test_signatures_are_readable(plain, tmp_path):
    command = [sys.executable, ALONE, "cli", "show", "--dir", plain[1], "--all"]
    shown = run_program(command, tmp_path)
    sections = dict(re.findall(r"signature_def\['(\w+)'\]:\n(.*?)Method name", shown, re.S))
    entry = r"inputs\['pixels'\] tensor_info:\s+dtype: (\w+)\s+shape: (.*)\n"
    assert re.search(entry, sections["serving_default"]).groups() == ("DT_FLOAT", "(-1, -1, -1, 1)")
    assert re.search(entry, sections["serving_uint8"]).groups() == ("DT_UINT8", "(-1, -1, -1, 1)")
    for words in (
        "serving_default output log_prob: nats per image",
        "serving_default output bits_per_dim: bits per dimension",
        "sample input temperature: factor on the prior's standard deviation",
        "sample input height: pixels, a multiple of 2",
        "sample output pixels: whole numbers, values in [0, 17)",
        "encode output latents: standard deviations of the prior",
    ):
        assert words in sections["units"]
    del sections["__saved_model_init_op"]
    units = sections.pop("units")
    named = [name for text in sections.values() for name in re.findall(r"puts\['(\w+)'\]", text)]
    assert len(named) == units.count("DT_STRING") == 24


def test_saved_model_cli_runs_it(plain, tmp_path):
    distribution, export = plain
    images = pixels_of_levels(2, 4, 4, 1)
    np.save(tmp_path / "images.npy", images)
    command = [sys.executable, ALONE, "cli", "run", "--dir", export, "--tag_set", "serve", "--signature_def"]
    score = [*command, "serving_default", "--inputs", "pixels=images.npy", "--outdir", "."]
    run_program(score, tmp_path)
    expected = distribution.log_prob(dequantize(images, LEVELS, seed=[0, 0]))
    np.testing.assert_allclose(np.load(tmp_path / "log_prob.npy"), expected, rtol=1e-5)
    sample = [*command, "sample", "--input_exprs", "count=3", "--outdir", "."]
    run_program(sample, tmp_path)
    expected = quantize(distribution.sample(3, seed=[0, 0]), LEVELS)
    np.testing.assert_array_equal(np.load(tmp_path / "pixels.npy"), expected)


@pytest.mark.parametrize("kind", ["plain", "conditional"])
def test_the_layout_is_that_of_tensorflow_serving(kind, request):
    _, export = request.getfixturevalue(kind)
    model = request.getfixturevalue(f"{kind}_model")
    folder = pathlib.Path(export)
    assert folder.name == "1"
    warmed_up = set()
    for record in tf.data.TFRecordDataset(str(folder / "assets.extra" / "tf_serving_warmup_requests")):
        request = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
        inputs = {k: tf.constant(tf.make_ndarray(v)) for k, v in request.inputs.items()}
        assert model.signatures[request.model_spec.signature_name](**inputs)
        warmed_up.add(request.model_spec.signature_name)
    assert warmed_up == set(model.signatures)


def test_versions_go_up_and_stay(plain, tmp_path):
    distribution = models.normal()
    paths = [export_saved_model(distribution, tmp_path, model_card="# Card\n") for _ in range(2)]
    assert paths == [str(tmp_path / "1"), str(tmp_path / "2")]
    card = (tmp_path / "1" / "MODEL_CARD.md").read_text()
    assert card.startswith("# Card\n")
    assert "| serving_default | out | log_prob | float32 (None,) | nats per image | |" in card


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("write", [export_saved_model, save_flow])
def test_weights_that_are_not_finite_are_not_written(write, value, tmp_path):
    distribution = make_distribution()
    variable = next(v for v in distribution.variables if "variance" in v.name)
    variable.assign(variable * value)
    with pytest.raises(ValueError, match=f"`distribution`: its variable {re.escape(repr(variable.name))} holds values"):
        write(distribution, tmp_path)
    assert not list(tmp_path.iterdir())


def test_wrong_arguments_are_refused(tmp_path):
    for argument, value, words in (
        ("distribution", tfd.Normal(0.0, 1.0), "must be a static"),
        ("levels", 1, "must be a Python int in"),
        ("max_values", 0, "must be a Python int in"),
    ):
        with pytest.raises(ValueError, match=f"`{argument}`.*{words}"):
            export_saved_model(**{"distribution": models.normal(), "directory": tmp_path} | {argument: value})
    with pytest.raises(TypeError, match=r"`distribution`.*must be a tfd\.Distribution"):
        export_saved_model("flow", tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"`directory`=.*file: could not be written"):
        export_saved_model(models.normal(), tmp_path / "file")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
