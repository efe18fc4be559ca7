"""Of what is written while TensorFlow is imported, notices are left out, and nothing else is lost.

The programs here import no TensorFlow: they write what it might write.
"""

import os
import subprocess
import sys

import pytest

from tests.examples.commands import ROOT
from tests.time_limits import HANG_SECONDS

NOTICE = "I0000 00:00:1700000000.000001   11 port.cc:153] oneDNN custom operations are on.\n"
WARNING = "W0000 00:00:1700000000.000002   11 cpu_utils.cc:1] A warning.\n"
ERROR = "E0000 00:00:1700000000.000003   11 platform.cc:1] An error.\n"
NO_GPU = "E0000 00:00:1700000000.000004   11 cuda.cc:1] failed call to cuInit: no device\n"
FIRST = "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n"

IMPORTS = "import os, signal, sys, quiet_start\nfrom quiet_start import lines_left_out, notices\n"


def program(lines, *, shell=None):
    """Runs a program of these lines; `shell` is a command that starts "$@"."""
    start = [sys.executable, "-c", IMPORTS + lines]
    return subprocess.run(
        start if shell is None else ["sh", "-c", shell, "sh", *start],
        env={"PYTHONPATH": str(ROOT / "examples"), "PYTHONUTF8": "1"},
        capture_output=True,
        encoding="utf-8",
        timeout=HANG_SECONDS,
    )


def within(body, *, after=""):
    block = "".join(f"    {line}\n" for line in body.splitlines())
    return f"with lines_left_out(notices()):\n{block}{after}"


def writes(text):
    return f"os.write(2, {text.encode()!r})\n"


def test_notices_are_left_out_and_the_others_keep_their_order():
    mixed = [FIRST, NOTICE, WARNING, NOTICE, ERROR, "a line of another kind, with I0000 in it\n", NOTICE, WARNING]
    body = "".join(map(writes, mixed)) + "print('of Python', file=sys.stderr)\n"
    done = program(within(body, after=writes("after\n" + NOTICE)))
    kept = [line for line in mixed if line not in (FIRST, NOTICE)]
    assert done.stderr == "".join([*kept, "of Python\n", "after\n", NOTICE])
    assert (done.stdout, done.returncode) == ("", 0)


def test_more_than_a_pipe_holds():
    done = program(within(f"for _ in range(5000):\n    os.write(2, {(NOTICE + WARNING).encode()!r})"))
    assert done.stderr == WARNING * 5000


@pytest.mark.parametrize(
    ("end", "code"),
    [("os._exit(7)", 7), ("sys.exit(5)", 5), ("os.kill(os.getpid(), signal.SIGKILL)", -9)],
    ids=["_exit", "exit", "kill"],
)
def test_the_last_words_are_shown_and_the_exit_code_is_kept(end, code):
    done = program(within(writes(NOTICE + WARNING) + writes("last words") + end))
    assert (done.stderr, done.returncode) == (WARNING + "last words", code)


def test_an_exception_in_the_block():
    done = program(within(writes(NOTICE) + "raise RuntimeError('the cause')"))
    assert done.returncode == 1
    assert done.stderr.endswith("RuntimeError: the cause\n")
    assert NOTICE not in done.stderr


def test_the_block_runs_once():
    done = program(within("print('within', flush=True)", after="print('after')"))
    assert done.stdout == "within\nafter\n"


@pytest.mark.parametrize("shell", ['"$@" 2>&-', '"$@" <&- 2>&-'], ids=["stderr", "stdin and stderr"])
def test_a_closed_stderr(shell):
    done = program(within("print('within', flush=True)", after="print('after')\nsys.exit(3)"), shell=shell)
    assert (done.stdout, done.stderr, done.returncode) == ("within\nafter\n", "", 3)


def test_another_file_in_the_place_of_a_closed_stderr(tmp_path):
    path = tmp_path / "a file"
    opened = f"assert os.open({str(path)!r}, os.O_WRONLY | os.O_CREAT) == 2\n"
    done = program(opened + within(writes(NOTICE)), shell='"$@" 2>&-')
    assert (done.returncode, path.read_text()) == (0, NOTICE)


@pytest.mark.parametrize("exit_of_the_other", ["", "signal.signal = lambda *_: 1 / 0\n"], ids=["", "which dies"])
def test_nobody_reads_stderr_any_more(exit_of_the_other):
    """Neither the reader of stderr nor the process that passes lines on is there, and the program goes on."""
    reading, writing = os.pipe()
    os.close(reading)
    lines = exit_of_the_other + within(
        "for _ in range(3):\n"
        "    try:\n"
        f"        os.write(2, {WARNING.encode()!r})\n"
        "    except OSError:\n"
        "        pass\n"
        "print('within', flush=True)",
        after="print('after')",
    )
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS + lines],
        env={"PYTHONPATH": str(ROOT / "examples")},
        stdout=subprocess.PIPE,
        stderr=writing,
        encoding="utf-8",
        timeout=HANG_SECONDS,
    )
    os.close(writing)
    assert (done.stdout, done.returncode) == ("within\nafter\n", 0)


@pytest.mark.parametrize("device", ["/dev/nvidiactl", "/dev/dxg", None])
def test_that_there_is_no_gpu_is_an_error_only_where_there_is_one(device):
    exists = f"quiet_start.pathlib.Path.exists = lambda path: str(path) == {device!r}\n"
    done = program(exists + within(writes(NO_GPU + ERROR)))
    assert done.stderr == (ERROR if device is None else NO_GPU + ERROR)
