"""`python -m examples.results` finds each file of results once, and refuses damaged ones in one line."""

import json
import re
import subprocess
import sys

import pytest

from examples import results as program
from tests.examples.commands import ROOT
from tests.examples.result_files import RESULT, write


def command(*arguments, cwd=ROOT):
    return subprocess.run(
        [sys.executable, "-m", "examples.results", *arguments],
        cwd=cwd,
        env={"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"},
        capture_output=True,
        encoding="utf-8",
    )


def test_each_file_once(tmp_path):
    write(tmp_path / "a")
    (tmp_path / "a" / "result.json").write_text("of another kind")
    assert len(program.find([tmp_path, tmp_path / "a"])) == 1


@pytest.mark.parametrize("field", list(program.FIELDS))
def test_a_missing_field(tmp_path, field):
    path = write(tmp_path)
    path.write_text(json.dumps({name: value for name, value in RESULT.items() if name != field}))
    with pytest.raises(ValueError, match=re.escape(f"{path}: lacks the field '{field}'; evaluate the run anew")):
        program.find([tmp_path])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "can't be read as JSON (Expecting property name"),
        (b"\xff", "can't be read as JSON ('utf-8' codec"),
        ("[" * 100_000, "can't be read as JSON (it is nested more than 32 deep)"),
        (" " * 2**21, "can't be read as JSON (it has more than 1,048,576 bytes)"),
        ({"bits_per_dim": 10**400}, "can't be read as JSON (it has a number of 401 digits)"),
        ("[]", "must hold one JSON object, not a list"),
        ({"step": "9"}, "the field 'step'='9' must be of another type"),
        ({"split": "dev"}, "the field 'split'='dev' must be one of test, validation, train"),
        ({"importance_weighted": {"samples": 2}}, "lacks the field 'importance_weighted.bits_per_dim'"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_wrong_file(tmp_path, content, message):
    path = write(tmp_path)
    if isinstance(content, dict):
        content = json.dumps(RESULT | content)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    done = command(str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {path}: {message}")
    assert done.stderr.endswith("; evaluate the run anew, or delete the file.\n")
    assert done.stderr.count("\n") == 1


def test_no_such_directory(tmp_path):
    done = command(str(tmp_path / "absent"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"error: `DIR`={tmp_path / 'absent'}: no such directory; name directories that hold " + (
        "result_*.json.\n"
    )


def test_runs_is_the_default_and_may_be_missing(tmp_path):
    done = command(cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, program.table([]) + "\n")
    assert done.stderr == "no result_*.json below runs: train first, or name a DIR.\n"
    write(tmp_path / "runs" / "a")
    done = command(cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, program.table([RESULT | {"directory": ""}]) + "\n", "")


def test_tensorflow_is_not_imported():
    code = "import sys, examples.results; print(sorted(sys.modules.keys() & {'tensorflow', 'tf_keras', 'numpy'}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
