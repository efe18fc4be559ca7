"""The package as a whole: doctests, the README, which module may import which, lint, types."""

import ast
import doctest
import importlib
import pathlib
import re
import subprocess
import sys

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
    "health": {"variables"},
    "averaging": {"checks", "variables"},
    "checks": set(),
    "image_bijector": {"checks", "health"},
    "batch_norm": {"checks", "image_bijector", "masks", "variables"},
    "coupling": {"checks", "image_bijector", "masks"},
    "factor_out": {"image_bijector"},
    "residual_network": {"batch_norm", "checks"},
    "conditioners": {"checks", "masks", "residual_network"},
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
    "recalibration": {"batch_norm", "checks", "image_bijector", "likelihood"},
    "training": {"adam", "averaging", "checks", "health", "image_bijector", "likelihood", "pixel_logit", "variables"},
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
    names = {"np": np, "tf": tf, "tfp": tfp, "tfd": tfp.distributions, "tfb": tfp.bijectors, **vars(tfp_realnvp)}
    result = doctest.testmod(importlib.import_module(f"tfp_realnvp.{module}"), extraglobs=names)
    assert result.failed == 0


@pytest.mark.parametrize("name", [n for n in tfp_realnvp.__all__ if callable(getattr(tfp_realnvp, n))])
def test_public_names_are_documented(name):
    assert len(getattr(tfp_realnvp, name).__doc__) > 40


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", README, re.S))
def test_readme_python(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(code, names)
    assert np.isfinite(names["nats"].numpy()).all()


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
