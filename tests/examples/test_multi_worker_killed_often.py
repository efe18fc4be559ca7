"""Workers that are killed, stopped and signalled at any moment end as workers that nothing has disturbed."""

import os
import random
import signal
import time

import pytest

from tests.examples.test_multi_worker import LOST_WITHIN, assert_same, trained
from tests.examples.worker_processes import SMALL, WorkerProcesses

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]

DEATHS = int(os.environ.get("DEATHS", "30"))
# SIGSTOP: a machine that hangs.
SIGNALS = [signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM]
LONGEST = 14.0  # seconds from the start of the workers to a signal
MAY_FOLLOW = {75, 0, 130, -signal.SIGKILL, -signal.SIGTERM}


def newest(directory):
    files = [directory / "log.csv", directory / "checkpoints" / "checkpoint", *directory.glob("samples_*.png")]
    return max((path.stat().st_mtime_ns for path in files if path.exists()), default=0)


def wait(workers, due):
    """Waits until `due()`; returns whether all workers were alive until then."""
    while not due():
        if any(process.poll() is not None for process in workers.processes):
            return False
        time.sleep(0.01)
    return True


def disturbed(directory, chosen):
    """Starts two workers and sends one of them a signal at some moment; returns whether it met them alive."""
    number, victim = chosen.choice(SIGNALS), chosen.randrange(2)
    with WorkerProcesses(2, directory, *SMALL, "--start_timeout=15") as workers:
        before, moment = newest(directory), time.monotonic() + chosen.uniform(0, LONGEST)
        alive = True
        if chosen.random() < 0.5:  # In the midst of a save, a sheet or an evaluation.
            alive = wait(workers, lambda: newest(directory) > before)
            moment = time.monotonic() + chosen.uniform(0, 1)
        alive = alive and wait(workers, lambda: time.monotonic() > moment)
        if alive:
            workers.processes[victim].send_signal(number)
        codes, seconds = workers.ended(but=[victim] if number == signal.SIGSTOP and alive else ())
        printed = [workers.printed(i) for i in range(2)]
        assert set(codes) <= MAY_FOLLOW, (number, victim, codes, printed)
        # A signal to end is followed by a step and a save, or training goes on to its end.
        assert seconds < LOST_WITHIN or number == signal.SIGTERM or not alive, (number, victim, seconds, printed)
        assert "Traceback" not in "".join(printed), (number, victim, printed)
        return alive


def test_workers_that_die_often_end_as_workers_that_do_not(tmp_path):
    chosen, directory, deaths = random.Random(0), tmp_path / "run", 0
    trained(2, tmp_path / "whole")
    while deaths < DEATHS:
        deaths += disturbed(directory, chosen)
        if (directory / "result_test.json").exists():
            trained(2, directory)
            assert_same(directory, tmp_path / "whole")
            directory = tmp_path / f"run_{deaths}"
    trained(2, directory)
    assert_same(directory, tmp_path / "whole")
