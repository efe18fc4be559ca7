"""Workers that get different batches start equal, and as one worker does that gets all of them."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from examples.ports import free_ports
from tests.time_limits import HANG_SECONDS

ROOT = pathlib.Path(__file__).parents[2]
# Workers may wait for each other for ever.
pytestmark = pytest.mark.timeout(HANG_SECONDS)


def printed(tmp_path):
    """What each of two workers prints, as a list."""
    addresses = [f"localhost:{port}" for port in free_ports(2)]
    workers = []
    for index in range(2):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        with (tmp_path / f"errors_{index}").open("w") as errors:
            workers.append(
                subprocess.Popen(
                    [sys.executable, "-m", "tests.training.two_workers"],
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    cwd=ROOT,
                    text=True,
                    env={**os.environ, "TF_CONFIG": json.dumps(task)},
                )
            )
    outputs = [worker.communicate()[0] for worker in workers]
    for index, worker in enumerate(workers):
        assert worker.returncode == 0, (tmp_path / f"errors_{index}").read_text()[-2000:]
    return [json.loads(output.split("JSON ")[1]) for output in outputs]


def test_layers_start_from_the_batches_of_all_workers_together(tmp_path):
    first, second = printed(tmp_path)
    assert sum(len(set(values)) > 1 for values in first["together"]) > 4
    for a, b, alone in zip(first["together"], second["together"], first["alone"], strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_allclose(a, alone, rtol=1e-4, atol=1e-5)
