"""Workers that hang, a disk that is full, a network that loses packets or is cut, and another number of workers."""

import resource
import signal
import time

import numpy as np
import pytest

from tests.examples.commands import result
from tests.examples.lossy_network import LossyNetwork, why_not
from tests.examples.test_multi_worker import LOST_WITHIN, assert_same, rows, trained
from tests.examples.worker_processes import SMALL, WorkerProcesses
from tests.time_limits import HANG_SECONDS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(5 * HANG_SECONDS)]
needs_network = pytest.mark.skipif(bool(why_not()), reason=why_not())


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The directory of a run of two workers that nothing has disturbed."""
    directory = tmp_path_factory.mktemp("whole") / "run"
    trained(2, directory)
    return directory


def assert_alike(directory, whole):
    """All but rounding is equal."""
    ours, theirs = rows(directory), rows(whole)
    assert [row["step"] for row in ours] == [row["step"] for row in theirs] == [4, 8, 12]
    for name in ("loss", "bits_per_dim", "val_bits_per_dim"):
        np.testing.assert_allclose([row[name] for row in ours], [row[name] for row in theirs], rtol=1e-3)
    np.testing.assert_allclose(result(directory)["bits_per_dim"], result(whole)["bits_per_dim"], rtol=1e-3)


def after_first_interval(workers, directory):
    workers.wait_for((directory / "checkpoints" / "step-4.index").exists)


@pytest.mark.parametrize("number", [0, 1])
def test_a_worker_that_hangs(number, whole, tmp_path):
    directory = tmp_path / "run"
    with WorkerProcesses(2, directory, *SMALL) as workers:
        after_first_interval(workers, directory)
        workers.processes[number].send_signal(signal.SIGSTOP)
        codes, seconds = workers.ended(but=[number])
        assert codes == [75], workers.printed(1 - number)
        assert seconds < LOST_WITHIN
    trained(2, directory)
    assert_same(directory, whole)


def test_a_full_disk_at_the_chief(whole, tmp_path):
    directory = tmp_path / "run"
    with WorkerProcesses(2, directory, *SMALL) as workers:
        after_first_interval(workers, directory)
        chief = workers.processes[0].pid
        resource.prlimit(chief, resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
        codes, _ = workers.ended()
        assert codes == [1, 75], [workers.printed(i) for i in range(2)]
        assert "error: " in workers.printed(0)
        assert "Traceback" not in workers.printed(0) + workers.printed(1)
    trained(2, directory)
    assert_same(directory, whole)


def test_another_number_of_workers_goes_on(whole, tmp_path):
    directory = tmp_path / "run"
    for count, step in ((3, 4), (1, 8)):
        with WorkerProcesses(count, directory, *SMALL) as workers:
            workers.wait_for((directory / "checkpoints" / f"step-{step}.index").exists)
            workers.processes[-1].kill()
            workers.ended(but=[count - 1])
    trained(2, directory)
    assert_alike(directory, whole)


def test_three_workers(whole, tmp_path):
    trained(3, tmp_path / "run")
    assert_alike(tmp_path / "run", whole)


@needs_network
def test_packets_that_are_late_or_lost(whole, tmp_path):
    with (
        LossyNetwork(2, delay=0.02, loss=0.01) as network,
        WorkerProcesses(2, tmp_path / "run", *SMALL, network=network) as workers,
    ):
        codes, _ = workers.ended()
        assert codes == [0, 0], [workers.printed(i) for i in range(2)]
        assert network.bytes > 1e5
    assert_same(tmp_path / "run", whole)


@needs_network
def test_a_network_that_is_cut(whole, tmp_path):
    directory = tmp_path / "run"
    with LossyNetwork(2, delay=0.001, loss=0.0) as network:
        with WorkerProcesses(2, directory, *SMALL, network=network) as workers:
            after_first_interval(workers, directory)
            network.cut, began = True, time.monotonic()
            codes, seconds = workers.ended()
            assert codes == [75, 75], [workers.printed(i) for i in range(2)]
            assert seconds < 60
            assert "Traceback" not in workers.printed(0) + workers.printed(1)
        time.sleep(max(0.0, began + 60 - time.monotonic()))
        network.cut = False
        with WorkerProcesses(2, directory, *SMALL, network=network) as workers:
            codes, _ = workers.ended()
            assert codes == [0, 0], [workers.printed(i) for i in range(2)]
    assert_same(directory, whole)
