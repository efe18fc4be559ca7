"""Two replicas train as one device does on the same global batch."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[1]
CASES = ["released adam", "released sgd", "paper sgd"]


@pytest.fixture(scope="module")
def results():
    done = subprocess.run(
        [sys.executable, "-m", "tests.two_replicas"], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    line = next(line for line in done.stdout.splitlines() if line.startswith("JSON "))
    return json.loads(line.removeprefix("JSON "))


def assert_close(case, what, tolerance):
    """Each movement to `tolerance` of the largest of its kind: weights, or statistics."""
    movements = {who: case[who][what] for who in ("alone", "together")}
    for kind in (True, False):
        chosen = [i for i, trainable in enumerate(case["trainable"]) if trainable == kind]
        largest = max(np.abs(movements["alone"][i]).max() for i in chosen)
        assert largest > 1e-4
        for i in chosen:
            np.testing.assert_allclose(
                movements["together"][i],
                movements["alone"][i],
                atol=tolerance * largest,
                rtol=0,
                err_msg=case["names"][i],
            )


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("what", ["one_step", "four_steps", "averages"])
def test_weights_and_statistics(results, name, what):
    assert_close(results[name], what, 1e-5)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("what", ["losses", "evaluated", "predicted"])
def test_reported_numbers(results, name, what):
    case = results[name]
    np.testing.assert_allclose(case["together"][what], case["alone"][what], rtol=1e-5)


@pytest.mark.parametrize("rest", ["3", "1"])
def test_last_batch_that_does_not_halve(results, rest):
    loss = results["uneven"][rest]
    assert not isinstance(loss, str), loss
    assert all(np.isfinite(loss))


def test_failure_on_one_replica(results):
    failure = results["failure"]
    assert failure["weights"] == [1.0, 1.0]
    assert failure["error"] is not None
    assert "step 1: not finite: the likelihood" in failure["error"]
