"""The versions of the packages that the numbers of a run depend on."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

import tfp_realnvp

# The modules tell their versions: TensorFlow can be installed under several names, and a checkout under none.
_PACKAGES = {
    "tensorflow": tf,
    "tensorflow-probability": tfp,
    "tf_keras": tf_keras,
    "numpy": np,
    "tfp_realnvp": tfp_realnvp,
}


def versions():
    """Returns the versions, a dict."""
    return {name: package.__version__ for name, package in _PACKAGES.items()}
