"""The package as a whole: doctests, the README, which module may import which, lint, types."""

import ast
import doctest
import importlib
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp

ROOT = pathlib.Path(__file__).parents[1]
MODULES = sorted(p.stem for p in (ROOT / "tfp_realnvp").glob("*.py") if p.stem != "__init__")
README = (ROOT / "README.md").read_text()

# Which modules of the package each module may use: arrows point one way.
MAY_IMPORT = {
    "adam": set(),
    "masks": set(),
    "squeeze": {"checks"},
    "pixel_logit": {"checks"},
    "latents": {"checks", "squeeze"},
    "likelihood": set(),
    "variables": set(),
    "replicas": set(),
    "recomputation": set(),
    "health": {"replicas"},
    "keras_data": {"checks", "image_bijector"},
    "averaging": {"checks", "replicas"},
    "checks": set(),
    "image_bijector": {"checks", "health", "recomputation"},
    "batch_norm": {"checks", "image_bijector", "masks", "recomputation", "replicas"},
    "coupling": {"checks", "image_bijector", "masks", "recomputation"},
    "factor_out": {"image_bijector"},
    "residual_network": {"batch_norm", "checks", "description", "recomputation", "replicas"},
    "conditioners": {"checks", "description", "masks", "residual_network"},
    "real_nvp_image": {
        "batch_norm",
        "checks",
        "conditioners",
        "coupling",
        "factor_out",
        "image_bijector",
        "masks",
        "pixel_logit",
        "squeeze",
    },
    "recalibration": {"batch_norm", "checks", "image_bijector", "likelihood", "replicas"},
    "version_folders": set(),
    "description": set(),
    "signatures": {"checks", "image_bijector", "likelihood", "pixel_logit"},
    "serving": {"signatures", "version_folders"},
    "saving": {"description", "serving", "signatures", "version_folders"},
    "keras_saving": {"checks", "description", "serving"},
    "training": {
        "adam",
        "averaging",
        "checks",
        "health",
        "image_bijector",
        "keras_data",
        "keras_saving",
        "likelihood",
        "pixel_logit",
        "replicas",
        "variables",
    },
}


def _imports(path):
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("module", MODULES)
def test_arrows_point_one_way(module):
    used = {
        name.split(".")[1] for name in _imports(ROOT / f"tfp_realnvp/{module}.py") if name.startswith("tfp_realnvp.")
    }
    assert used <= MAY_IMPORT[module]


@pytest.mark.parametrize("path", sorted((ROOT / "examples").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_examples_use_public_names_only(path):
    used = [name for name in _imports(path) if name.startswith("tfp_realnvp.")]
    assert all(name.split(".")[1] in tfp_realnvp.__all__ for name in used)


@pytest.mark.parametrize("module", MODULES)
def test_doctests(module):
    names = {
        "np": np,
        "tf": tf,
        "tfp": tfp,
        "tfd": tfp.distributions,
        "tfb": tfp.bijectors,
        "tempfile": tempfile,
        **vars(tfp_realnvp),
    }
    result = doctest.testmod(importlib.import_module(f"tfp_realnvp.{module}"), extraglobs=names)
    assert result.failed == 0


@pytest.mark.parametrize("name", [n for n in tfp_realnvp.__all__ if callable(getattr(tfp_realnvp, n))])
def test_public_names_are_documented(name):
    assert len(getattr(tfp_realnvp, name).__doc__) > 40


def test_readme_python(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for code, shape in zip(re.findall(r"```python\n(.*?)```", README, re.S), ([4], None, [5]), strict=True):
        names.pop("nats", None)
        exec(code, names)  # Each goes on from those above.
        assert shape is None or names["nats"].shape == shape
        assert shape is None or np.isfinite(names["nats"].numpy()).all()
    assert (names["drawn"].dtype, names["drawn"].shape) == (tf.uint8, [4, 8, 8, 1])
    assert np.mean(names["again"] == names["pixels"]) > 0.98  # But where noise lies at the very edge of a whole number.
    assert "tfp_realnvp" not in code  # The client.
    # Over REST, every input by its name.
    request = json.loads(re.search(r"predict -d '({.*?})'", README, re.S).group(1))
    answer = names["model"].signatures[request["signature_name"]]
    values = {name: tf.constant(value) for name, value in request["inputs"].items()}
    assert values.keys() == answer.structured_input_signature[1].keys()
    assert answer(**values)["pixels"].shape == [4, 8, 8, 1]


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "ruff", "check"],
        ["-m", "ruff", "format", "--check"],
        ["-m", "mypy"],
    ],
    ids=" ".join,
)
def test_code_is_clean(command):
    result = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
