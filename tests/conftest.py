"""What every test needs: a quiet log and the same random numbers each time."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # Before TensorFlow is imported.

import pytest
import tf_keras


@pytest.fixture(autouse=True)
def _seed():
    tf_keras.utils.set_random_seed(1)
