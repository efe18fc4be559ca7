"""What all tests share: a quiet log, the same random numbers each time, and the speeds that tests recorded."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # Before TensorFlow is imported.

import pytest
import tf_keras


@pytest.fixture(autouse=True)
def _seed():
    tf_keras.utils.set_random_seed(1)


@pytest.fixture(scope="session", params=["tf_keras", "keras"])
def kind(request):
    """Each of the two Kerases, see `tests.kerases`."""
    from tests.kerases import KINDS  # Most tests need no Keras 3, which takes seconds to import.

    return KINDS[request.param]


def pytest_terminal_summary(terminalreporter):
    """Prints the speeds that tests recorded: no test fails for one."""
    properties = [property for report in terminalreporter.getreports("passed") for property in report.user_properties]
    lines = sorted(text for name, text in properties if name == "speed")
    if lines:
        terminalreporter.section("speed")
        terminalreporter.write("\n".join(lines) + "\n")
