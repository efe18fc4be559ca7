"""What tests of the examples share: runs that were trained once, and programs that answer many commands."""

import pytest

from tests.examples.commands import commands_of, train


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
