"""The package as a whole: doctests, the README, lint, types."""

import doctest
import importlib
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "tfp_realnvp"
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in PACKAGE.rglob("*.py")
)


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
    result = doctest.testmod(importlib.import_module(module), extraglobs=names)
    assert result.failed == 0


@pytest.mark.parametrize("name", [n for n in tfp_realnvp.__all__ if callable(getattr(tfp_realnvp, n))])
def test_public_names_are_documented(name):
    assert len(getattr(tfp_realnvp, name).__doc__) > 40


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
