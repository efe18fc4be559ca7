"""Tests of the examples share these fixtures: runs that are trained once, and programs that take many commands."""

import contextlib
import fcntl
import shutil

import pytest

from tests.examples.commands import commands_of, opened, train
from tests.examples.training_runs import run_apart


def pytest_collection_modifyitems(items):
    """Puts the test that takes longest first; at the end the other worker would have nothing left to do beside it."""
    items.sort(key=lambda item: item.name != "test_main_command_of_the_readme")


@pytest.fixture(scope="session")
def once(tmp_path_factory, worker_id):
    """Returns a function from a name to the directory of that name, which the first process that asks for it fills.

    The other workers of pytest-xdist wait until it is full, then read the same files: tests write to a copy.
    """
    base = tmp_path_factory.getbasetemp()
    base = base if worker_id == "master" else base.parent

    def directory_of(name, fill):
        directory, full = base / name, base / f"{name}.full"
        with (base / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not full.exists():
                shutil.rmtree(directory, ignore_errors=True)  # A worker that failed may have left it.
                directory.mkdir()
                fill(directory)
                full.touch()
        return directory

    return directory_of


@pytest.fixture(scope="session")
def trained(once):
    """The directory of a run that `examples.train` made; for all tests, so write to a copy."""
    return once("trained", lambda directory: train(directory / "run")) / "run"


@pytest.fixture(scope="session")
def trained_conditional(once):
    """As `trained`, of a conditional flow after a few steps."""
    directory = once(
        "trained_conditional", lambda directory: train(directory / "run", "--conditional", "--config.steps=4")
    )
    return directory / "run"


@pytest.fixture(scope="session")
def whole(once):
    """The directory of a run of two intervals that nothing has interrupted, and what it printed; not to be written."""

    def fill(directory):
        done = run_apart(directory / "run")
        assert done.returncode == 0, done
        (directory / "printed.txt").write_text(done.stdout)

    directory = once("whole", fill)
    return directory / "run", (directory / "printed.txt").read_text()


@pytest.fixture
def run(trained, tmp_path):
    """A copy of the run `trained`."""
    return shutil.copytree(trained, tmp_path / "run")


@pytest.fixture(scope="module")
def experiment(trained):
    """The `Experiment` of the run `trained`."""
    return opened(trained)


@pytest.fixture(scope="session")
def _program():
    """The program that runs at present, by its name, and what ends it: tests that follow each other share it."""
    with contextlib.ExitStack() as ends:
        yield {}, ends


@pytest.fixture
def commands(request, _program):
    """Runs the module's `PROGRAM`, one of the examples', as often as asked, in one process."""
    running, ends = _program
    name = request.module.PROGRAM
    if name not in running:
        running.clear()
        ends.close()
        running[name] = ends.enter_context(commands_of(name))
    return running[name]
