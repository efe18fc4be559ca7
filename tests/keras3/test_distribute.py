"""Two replicas under Keras 3 train as one device does on the same global batch."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import tensorflow as tf

from tests.time_limits import HANG_SECONDS

ROOT = pathlib.Path(__file__).parents[2]


def test_two_replicas_train_as_one_device():
    program = [sys.executable, "-m", "tests.keras3.two_replicas"]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=HANG_SECONDS)
    assert done.returncode == 0, done.stderr[-2000:]
    line = next(line for line in done.stdout.splitlines() if line.startswith("JSON "))
    alone, mirrored = json.loads(line.removeprefix("JSON "))
    for one, two in zip(tf.nest.flatten(alone), tf.nest.flatten(mirrored), strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-6, atol=1e-8)
