"""Runs the programs of the examples over a small run, in a process each, since they define the same flags."""

import contextlib
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import threading

import pytest

from examples import config as config_lib
from examples import experiment
from examples import run as run_lib
from examples.settings import Settings, config_of
from tests.time_limits import HANG_SECONDS

ROOT = pathlib.Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}

# Makes the config `digits` a flow that is traced in seconds.
SMALL = """
import dataclasses, os, resource, signal, sys
from examples import command, config

genuine = config.get
flow = config.Flow(num_scales=1, width=4, residual_blocks=0)
small = dataclasses.replace(config.get("digits"), flow=flow, steps=60, evaluations=1)
config.get = lambda name: small if name == "digits" else genuine(name)
"""

# Runs the commands that come in, one a line, in this one process. The `setup` of a command is executed before it, with
# a `patch` that is undone after it.
COMMANDS = """
import contextlib, importlib, io, json, traceback
import pytest
from absl.testing import flagsaver
from examples import data, evaluation, experiment

program = importlib.import_module(f"examples.{sys.argv[1]}")
for line in sys.stdin:
    request, output, code = json.loads(line), [io.StringIO(), io.StringIO()], 0
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with (
        pytest.MonkeyPatch.context() as patch,
        flagsaver.flagsaver(),
        contextlib.redirect_stdout(output[0]),
        contextlib.redirect_stderr(output[1]),
    ):
        patch.setattr(sys, "argv", [sys.argv[1], *request["arguments"]])
        try:
            exec(request["setup"])
            command.run(program.main, getattr(program, "arrange", None))
        except SystemExit as stop:
            code = stop.code
        except BaseException:
            code = traceback.format_exc()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    texts = [text.getvalue() for text in output]
    if isinstance(code, str):  # Python ends a program in this way.
        texts[1], code = f"{texts[1]}{code}\\n", 1
    print(json.dumps([code or 0, *texts]), flush=True)
"""


@dataclasses.dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


def python(code, *arguments, **options):
    """Starts a process that executes this code, with the arguments in `sys.argv`."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": ENVIRONMENT, "text": True} | options
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], **options)


def run_python(code, *arguments):
    """Waits for the end of the process; returns what became of it."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=HANG_SECONDS)


@contextlib.contextmanager
def commands_of(program):
    """Yields a function that runs `examples.PROGRAM` over `SMALL`, and returns what became of it.

    `setup` are statements that are executed before; what they change by `patch.setattr` is changed back afterwards.
    """
    process = python(SMALL + COMMANDS, program, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd="/")

    def run(*arguments, setup=""):
        process.stdin.write(json.dumps({"arguments": [*map(str, arguments)], "setup": setup}) + "\n")
        process.stdin.flush()
        hung = threading.Timer(HANG_SECONDS, process.kill)
        hung.start()
        answer = process.stdout.readline()
        hung.cancel()
        assert answer, f"examples.{program} with {arguments} has ended the process, or took more than {HANG_SECONDS} s"
        return Done(*json.loads(answer))

    yield run
    process.stdin.close()
    process.stdout.close()
    assert process.wait(HANG_SECONDS) == 0


def train(directory, *arguments):
    """Makes a run of `SMALL` there; returns the directory."""
    done = run_python(
        SMALL + "from examples import train\ncommand.run(train.main, train.arrange)",
        f"--run_dir={directory}",
        *arguments,
    )
    assert done.returncode == 0, done.stderr
    return directory


def opened(directory, open_run=None):
    """The `Experiment` of this run, in this process; by `examples.experiment.open_run`, or without its checks."""
    names = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config_lib, "get", config_lib.get)  # `SMALL` replaces it; this brings it back.
        exec(SMALL, names)
        if open_run is not None:
            return open_run(directory)
        settings = Settings.read(directory / run_lib.SETTINGS)
        return experiment.open_experiment(settings, config_of(settings), directory)


def result(directory, split="test"):
    return json.loads((directory / f"result_{split}.json").read_text())


def contents(directory):
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def paths(directory):
    """All that lies in it, directories too."""
    return sorted(directory.rglob("*"))


def finished(done):
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def assert_refused(done, *texts):
    assert (done.returncode, done.stdout) == (1, ""), done
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    for text in texts:
        assert text in done.stderr


def assert_nothing_done(done, message, directory):
    """A command that is refused, in one way or another, and leaves no file."""
    assert done.returncode == 1
    assert message in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert not list(directory.iterdir())


def damaged(name, change):
    """Changes a file of the run."""

    def prepare(run):
        path = run / name
        path.write_bytes(change(path.read_bytes()))

    return prepare


def settings(**changes):
    """Changes the settings of the run."""
    return damaged("settings.json", lambda content: json.dumps(json.loads(content) | changes).encode())
