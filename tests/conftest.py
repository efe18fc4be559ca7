"""What all tests share: a quiet log, the same random numbers each time, and the speeds that tests recorded."""

import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # Before TensorFlow is imported.

import pytest
import tf_keras

_THOROUGH = pathlib.Path(__file__).with_name("thorough.txt")


@pytest.hookimpl(tryfirst=True)  # Before tests are chosen by their markers.
def pytest_collection_modifyitems(config, items):
    """Marks the tests that are listed in `thorough.txt`."""
    lines = {line for line in _THOROUGH.read_text().splitlines() if not line.startswith("#")}
    found = set()
    for item in items:
        names = {item.nodeid, item.nodeid.partition("[")[0], item.nodeid.partition("::")[0]} & lines
        if names:
            item.add_marker("thorough")
            found |= names
    files = {item.nodeid.partition("::")[0] for item in items}
    unknown = sorted(line for line in lines - found if "::" in line and line.partition("::")[0] in files)
    if unknown and not any("::" in argument for argument in config.args):
        raise pytest.UsageError(f"{_THOROUGH}: there are no such tests: {unknown}")


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
