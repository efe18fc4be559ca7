"""What tests share: a quiet log, the same random numbers each time, and runs that were trained once."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # Before TensorFlow is imported.

import pytest
import tf_keras

from tests.commands import commands_of, train


@pytest.fixture(autouse=True)
def _seed():
    tf_keras.utils.set_random_seed(1)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The directory of a run that `examples.train` made; for all tests, so write to a copy."""
    return train(tmp_path_factory.mktemp("trained") / "run")


@pytest.fixture(scope="session")
def trained_conditional(tmp_path_factory):
    """As `trained`, of a conditional flow after a few steps."""
    return train(tmp_path_factory.mktemp("trained_conditional") / "run", "--conditional", "--steps=4")


@pytest.fixture(scope="module")
def commands(request):
    """Runs the module's `PROGRAM`, one of the examples', as often as asked, in one process."""
    with commands_of(request.module.PROGRAM) as run:
        yield run


def pytest_terminal_summary(terminalreporter):
    """Prints the speeds that tests recorded: no test fails for one."""
    properties = [property for report in terminalreporter.getreports("passed") for property in report.user_properties]
    lines = sorted(text for name, text in properties if name == "speed")
    if lines:
        terminalreporter.section("speed")
        terminalreporter.write("\n".join(lines) + "\n")
