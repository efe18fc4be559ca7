"""The tests of exports share a distribution, a way to run programs, and right and wrong requests."""

import pathlib
import pickle
import subprocess
import sys

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp import RealNVPImage

tfd = tfp.distributions
ALONE = pathlib.Path(__file__).with_name("only_tensorflow.py")
LEVELS = 17
SEED = np.array([3, 4], np.int32)


def _moved(distribution):
    for i, v in enumerate(distribution.trainable_variables):
        v.assign_add(0.1 * tf.cast(tf.random.stateless_normal(v.shape, [i, 0]), v.dtype))
    return distribution


def make_distribution(shape=(4, 4, 1), **options):
    """A flow for images of `LEVELS` levels, which is moved away from its start."""
    options = {"num_scales": 2, "width": 2, "residual_blocks": 0, "levels": LEVELS} | options
    flow = RealNVPImage(shape[-1], **options)
    return _moved(tfd.TransformedDistribution(tfd.Sample(tfd.Normal(0.0, 1.0), sample_shape=shape), flow))


def pixels_of_levels(*shape, seed=0):
    return np.random.RandomState(seed).randint(0, LEVELS, shape).astype(np.uint8)


def run_program(command, directory):
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=directory)
    assert result.returncode == 0, result.stderr
    return result.stdout


def run_alone(tmp_path, mode, export, requests, *numbers):
    """The answers of `only_tensorflow.py` to the requests."""
    with open(tmp_path / "requests", "wb") as file:
        pickle.dump(requests, file)
    command = [sys.executable, ALONE, mode, export, tmp_path / "requests", tmp_path / "answers", *numbers]
    run_program(command, tmp_path)
    with open(tmp_path / "answers", "rb") as file:
        return pickle.load(file)


# These requests are answered, by signature.
GOOD = {
    "serving_default": {"pixels": np.zeros([2, 4, 4, 1], np.float32), "seed": SEED, "dequantize": True},
    "sample": {"count": 2, "seed": SEED, "temperature": 1.0, "height": 4, "width": 4},
    "encode": {"pixels": np.zeros([2, 4, 4, 1], np.float32), "seed": SEED, "dequantize": True},
    "decode": {"latents": np.zeros([2, 4, 4, 1], np.float32)},
    "serving_uint8": {"pixels": np.zeros([2, 4, 4, 1], np.uint8), "seed": SEED},
}


def filled(*shape, value=0.0):
    return np.full(shape, value, np.float32)


# Each line makes one input of a good request wrong: a signature, the input, its value, and what the error says.
WRONG = [
    ("serving_default", "pixels", filled(4, 4, 1), r"\[4,4,1\] is not compatible with expected shape \[\?,\?,\?,1\]"),
    (
        "serving_default",
        "pixels",
        filled(2, 4, 4, 3),
        r"\[2,4,4,3\] is not compatible with expected shape \[\?,\?,\?,1\]",
    ),
    ("serving_default", "pixels", filled(2, 5, 4, 1), "H and W multiples of 2"),
    ("serving_default", "pixels", filled(0, 4, 4, 1), "N of 1 or more"),
    ("serving_default", "pixels", filled(2, 4, 4, 1, value=17), r"holds values from 17 to 17: must lie in \[0, 17\)"),
    ("serving_default", "pixels", filled(2, 4, 4, 1, value=-1), "holds values from -1 to -1"),
    ("serving_default", "pixels", filled(2, 4, 4, 1, value=np.nan), "holds values from"),
    ("serving_default", "pixels", filled(2, 4, 4, 1, value=0.5), "holds fractions"),
    ("serving_default", "pixels", filled(40, 8, 8, 1), r"40 images of shape \[8 8 1\] are more than 2000 values"),
    ("serving_default", "seed", np.array([1, 2, 3], np.int32), r"\[3\] is not compatible with expected shape \[2\]"),
    ("serving_default", "dequantize", np.array([True]), r"\[1\] is not compatible with expected shape \[\]"),
    ("serving_uint8", "pixels", np.full([2, 4, 4, 1], 17, np.uint8), "holds values from 17 to 17"),
    ("encode", "pixels", filled(2, 4, 5, 1), "H and W multiples of 2"),
    ("decode", "latents", filled(2, 3, 4, 1), "H and W multiples of 2"),
    ("decode", "latents", filled(2, 4, 4, 1, value=np.inf), "not finite"),
    ("decode", "latents", filled(2, 4), r"\[2,4\] is not compatible with expected shape \[\?,\?,\?,1\]"),
    ("sample", "count", 0, "=0: must be 1 or more"),
    ("sample", "count", -3, "=-3: must be 1 or more"),
    ("sample", "count", 2**31 - 1, "are more than 2000 values"),
    ("sample", "count", np.array([1, 2], np.int32), r"\[2\] is not compatible with expected shape \[\]"),
    ("sample", "temperature", 0.0, "=0: must be a finite number above 0"),
    ("sample", "temperature", -1.0, "must be a finite number above 0"),
    ("sample", "temperature", np.nan, "must be a finite number above 0"),
    ("sample", "height", 5, "=5: must be a multiple of 2"),
    ("sample", "width", 0, "=0: must be a multiple of 2"),
]
