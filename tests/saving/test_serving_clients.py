"""The clients of README.md and BUILD.md work with a stand-in for TensorFlow Serving."""

import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import grpc
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from sklearn.datasets import load_digits

from tests.saving.prediction_server import serve
from tests.time_limits import HANG_SECONDS
from tfp_realnvp import RealNVPImage, bits_per_dim, dequantize, export_saved_model, quantize

tfd = tfp.distributions
ROOT = pathlib.Path(__file__).parents[2]
LEVELS = 17


@pytest.fixture(scope="module")
def images():
    """A smaller version of the distribution in the README."""
    flow = RealNVPImage(channels=1, num_scales=2, width=2, residual_blocks=0, levels=LEVELS)
    for i, v in enumerate(flow.trainable_variables):
        v.assign_add(0.1 * tf.random.stateless_normal(v.shape, [i, 0]))
    return tfd.TransformedDistribution(tfd.Sample(tfd.Normal(0.0, 1.0), sample_shape=[8, 8, 1]), flow)


@pytest.fixture(scope="module")
def ports(images, tmp_path_factory):
    export = export_saved_model(images, tmp_path_factory.mktemp("export"), max_values=2**21)
    with pytest.MonkeyPatch.context() as patch, serve(export, "realnvp") as (rpc, rest):
        for name in ("no_proxy", "NO_PROXY"):
            patch.setenv(name, "127.0.0.1")
        yield {"localhost:8500": f"127.0.0.1:{rpc}", "localhost:8501": f"127.0.0.1:{rest}"}


@contextlib.contextmanager
def _client(ports, options=""):
    """Gives the names that the Python code of BUILD.md defines."""
    code = re.search(r"\n## Serving\n.*?```python\n(.*?)```", (ROOT / "BUILD.md").read_text(), re.S).group(1)
    # A slow machine may take longer than this client waits.
    code = code.replace("timeout=60", f"timeout={HANG_SECONDS}")
    names = {}
    exec(code.replace('"localhost:8500"', f'"{ports["localhost:8500"]}"{options}'), names)
    with names["channel"]:
        yield names


@pytest.fixture(scope="module")
def client(ports):
    with _client(ports) as names:
        yield names


def _post(ports, request):
    with contextlib.closing(http.client.HTTPConnection(ports["localhost:8501"])) as connection:
        connection.request("POST", "/v1/models/realnvp:predict", json.dumps(request))
        response = connection.getresponse()
        return response.status, json.load(response)


def _scores(images, pixels):
    log_prob = images.log_prob(dequantize(pixels, LEVELS, seed=[0, 0]))
    return {"log_prob": log_prob, "bits_per_dim": bits_per_dim(log_prob, (8, 8, 1))}


def test_the_rest_client_of_the_readme_works(images, ports):
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    block = re.search(r"\n    docker run .*?\n((    .*\n)+)", (ROOT / "README.md").read_text()).group(1)
    commands = re.sub("^    ", "", block, flags=re.M).replace("localhost:8501", ports["localhost:8501"])
    path = {"PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])}
    run = subprocess.run(["bash", "-ec", commands], capture_output=True, text=True, env=os.environ | path)
    assert run.returncode == 0, run.stderr
    sample, score = map(json.loads, run.stdout.splitlines())
    np.testing.assert_array_equal(sample["outputs"], quantize(images.sample(4, seed=[0, 1]), LEVELS))
    expected = _scores(images, load_digits().images[:2, ..., None])
    for name, values in expected.items():
        np.testing.assert_allclose([row[name] for row in score["predictions"]], values, rtol=1e-5)


def test_the_grpc_client_of_build_works(images, client):
    np.testing.assert_array_equal(client["pixels"], quantize(images.sample(4, seed=[0, 1]), LEVELS))
    assert client["pixels"].dtype == np.uint8
    np.testing.assert_allclose(client["bits"], _scores(images, client["pixels"])["bits_per_dim"], rtol=1e-5)
    for defaults in ({"seed": [0, 0]}, {"temperature": np.float32(1.0), "height": 8, "width": 8}):
        alike = client["ask"]("sample", count=2, **defaults)["pixels"]
        np.testing.assert_array_equal(client["ask"]("sample", count=2)["pixels"], alike)


def _full(*shape, value=0):
    return np.full(shape, value, np.float32)


GOOD = {
    "score": {"pixels": _full(2, 8, 8, 1)},
    "sample": {"count": 2, "seed": [0, 0], "temperature": np.float32(1), "height": 8, "width": 8},
}


@pytest.mark.parametrize(
    ("signature", "name", "value", "words"),
    [
        ("score", "pixels", _full(2, 8, 8, 1, value=17), "values from 17 to 17"),
        ("score", "pixels", _full(2, 7, 8, 1), "multiples of 2"),
        ("score", "pixels", _full(8, 8, 1), "not compatible with expected shape"),
        ("sample", "count", -1, "=-1"),
        ("sample", "temperature", np.float32(0), "=0"),
        ("sample", "width", 5, "=5"),
    ],
)
def test_wrong_requests_are_refused(client, ports, signature, name, value, words):
    inputs = GOOD[signature] | {name: value}
    with pytest.raises(grpc.RpcError) as refused:
        client["ask"](signature, **inputs)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    request = {"signature_name": signature, "inputs": {k: np.asarray(v).tolist() for k, v in inputs.items()}}
    status, answer = _post(ports, request)
    assert status == 400
    for message in (refused.value.details(), answer["error"]):
        assert name in message
        assert words in message
    right = client["ask"](signature, **GOOD[signature])
    request["inputs"] = {k: np.asarray(v).tolist() for k, v in GOOD[signature].items()}
    status, answer = _post(ports, request)
    outputs = answer["outputs"] if signature == "score" else {"pixels": answer["outputs"]}
    assert status == 200
    for key, values in right.items():
        np.testing.assert_allclose(outputs[key], values, rtol=1e-6)


def test_requests_that_do_not_fit_the_signature_are_refused(client, ports):
    for inputs, word in (({}, "count"), ({"count": 1, "colour": 3}, "colour"), ({"count": np.int64(1)}, "int32")):
        with pytest.raises(grpc.RpcError) as refused:
            client["ask"]("sample", **inputs)
        assert word in refused.value.details()
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    for form in ({"inputs": {"count": 1}}, {"instances": [{"count": 1}]}):
        status, answer = _post(ports, {"signature_name": "sample", **form})
        assert (status, "seed" in answer["error"]) == (400, True)


def test_answers_above_4_mb_need_an_option(client, ports):
    pixels = _full(16500, 8, 8, 1)
    with pytest.raises(grpc.RpcError, match="larger than max") as refused:
        client["ask"]("encode", pixels=pixels)
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    option = re.search(r'\("grpc\.max_receive_message_length", -1\)', (ROOT / "BUILD.md").read_text()).group()
    with _client(ports, options=f", options=[{option}]") as names:
        assert names["ask"]("encode", pixels=pixels)["latents"].shape == pixels.shape
