"""Flows that are saved or exported once, for all tests of this folder."""

import shutil

import pytest
import tensorflow as tf

from tests import models
from tests.saving.distributions import moved
from tests.saving.exports import make_distribution
from tfp_realnvp import export_saved_model, save_flow


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """The directory of a saved flow. Tests must not write to it: they take `copied`."""
    directory = tmp_path_factory.mktemp("saved")
    save_flow(moved(models.flow()), directory)
    return directory


@pytest.fixture
def copied(saved, tmp_path):
    """A copy of `saved`, which the test may write to."""
    shutil.copytree(saved, tmp_path / "flow")
    return tmp_path / "flow"


@pytest.fixture(scope="session")
def plain(tmp_path_factory):
    """A distribution and the path of its export, which takes at most 2000 values in one request."""
    distribution = make_distribution()
    return distribution, export_saved_model(distribution, tmp_path_factory.mktemp("plain"), max_values=2000)


@pytest.fixture(scope="session")
def plain_model(plain):
    """The export of `plain`, as Python loads it."""
    return tf.saved_model.load(plain[1])


@pytest.fixture(scope="session")
def conditional_model(conditional):
    """The export of `conditional`, as Python loads it."""
    return tf.saved_model.load(conditional[1])


@pytest.fixture(scope="session")
def conditional(tmp_path_factory):
    """A distribution that takes conditioning, and the path of its export."""
    distribution = make_distribution(conditioning_size=3)
    for v in distribution.trainable_variables:
        if "conditioning" in v.name:
            v.assign_add(tf.ones_like(v))
    return distribution, export_saved_model(distribution, tmp_path_factory.mktemp("conditional"))
