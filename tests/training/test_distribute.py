"""Two replicas train as one device does on the same global batch."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from tests.time_limits import HANG_SECONDS

ROOT = pathlib.Path(__file__).parents[2]
# Replicas may wait for each other for ever. Then the test fails after half an hour, which no working test takes.
pytestmark = pytest.mark.timeout(HANG_SECONDS)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Gives a function that returns what the program of two replicas prints for a case."""
    errors = tmp_path_factory.mktemp("two_replicas") / "errors"
    with errors.open("w") as file:
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": file, "cwd": ROOT, "text": True}
        program = subprocess.Popen([sys.executable, "-m", "tests.training.two_replicas"], **options)

    def ask(case):
        program.stdin.write(case + "\n")
        program.stdin.flush()
        line = next((line for line in program.stdout if line.startswith("JSON ")), None)
        if line is None:
            pytest.fail(errors.read_text()[-2000:], pytrace=False)
        return json.loads(line.removeprefix("JSON "))

    with program:
        yield ask
        program.stdin.close()
    assert program.returncode == 0


@pytest.mark.parametrize("case", ["released adam", "released sgd", "paper sgd", "paper sgd recomputed"])
def test_training_and_evaluation_are_those_of_one_device(case, run):
    result = run(case)
    alone, together = result["alone"], result["together"]
    for what in ("losses", "norms", "evaluated", "predicted"):
        np.testing.assert_allclose(together[what], alone[what], rtol=1e-5, err_msg=what)
    # One step of SGD shows the gradient. In float64, movements are equal to 1e-10 of the largest of their kind.
    for what in ("one_step", "four_steps", "averages"):
        for kind in (True, False):
            chosen = [i for i, trainable in enumerate(result["trainable"]) if trainable == kind]
            largest = max(np.abs(alone[what][i]).max() for i in chosen)
            assert largest > 1e-3
            for i in chosen:
                np.testing.assert_allclose(
                    together[what][i], alone[what][i], atol=1e-10 * largest, rtol=0, err_msg=result["names"][i]
                )


def test_a_last_batch_need_not_halve(run):
    assert np.isfinite(run("uneven")).all()


def test_failure_on_one_replica_stops_all(run):
    result = run("failure")
    assert result["weights"] == [1.0, 1.0]
    assert result["error"] is not None
    assert "step 1: not finite: the likelihood" in result["error"]


def test_recalibration_is_that_of_one_device(run):
    result = run("recalibration")
    for where in ("inside", "outside"):
        for what in ("bits", "evaluated"):
            np.testing.assert_allclose(result[where][what], result["alone"][what], rtol=1e-5, err_msg=what)
        for found, expected in zip(result[where]["averages"], result["alone"]["averages"], strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert "outside of" in result["error"]


def test_layers_start_from_data_as_on_one_device_and_are_trained_alike(run):
    result = run("start")
    alone = result.pop("alone")
    for name, together in result.items():
        for found, expected in zip(together, alone, strict=True):
            for a, b in zip(found, expected, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8, err_msg=name)
    # Each norm started: its flag is set, and no variable is 0 throughout that was to start.
    started = [values for values in alone[0] if values == [1.0]]
    assert len(started) == 2


def test_pictures_and_densities_are_those_of_one_device(run):
    result = run("densities")
    for where in ("inside", "outside"):
        for found, expected in zip(result[where], result["alone"], strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert "call it outside" in result["error"]


def test_shares_of_replicas_are_rows_of_the_batches(run):
    for kind in run("shares"):
        assert len(kind["alone"]) == len(kind["together"]) == 7
        for alone, together in zip(kind["alone"], kind["together"], strict=True):
            for column in range(2):  # The columns are images and conditioning.
                whole = np.array(alone[column])
                assert len(whole) == 8
                np.testing.assert_array_equal(together[column][0], whole[:4])
                np.testing.assert_array_equal(together[column][1], whole[4:])
