"""`python -m examples.export` refuses damaged runs and wrong flags in one line, and changes no file of the run."""

import shutil

import pytest

from tests.examples.commands import assert_refused, contents, damaged, paths, settings

pytest.importorskip("sklearn")

PROGRAM = "export"


WRONG = {
    "settings cut short": (damaged("settings.json", lambda c: c[:20]), ["settings.json is damaged", "once more"]),
    "another seed": (settings(seed=7), ["step-60 is of another run (seed: 0 there, 7 now)"]),
    "checkpoint cut short": (
        damaged("checkpoints/step-60.data-00000-of-00001", lambda c: c[: len(c) // 2]),
        ["step-60 can't be"],
    ),
    "no checkpoint": (lambda run: shutil.rmtree(run / "checkpoints"), ["holds no checkpoint; train it first: python"]),
    "result cut short": (
        damaged("result_test.json", lambda c: c[:20]),
        ["result_test.json: can't be read as JSON", "evaluate the run anew, or delete the file"],
    ),
    "result without a field": (
        damaged("result_test.json", lambda c: c.replace(b'"statistics"', b'"x"')),
        ["result_test.json: lacks the field 'statistics'"],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_run(name, run, commands):
    prepare, texts = WRONG[name]
    prepare(run)
    before = contents(run), paths(run)
    assert_refused(commands(f"--run={run}"), *texts)
    assert (contents(run), paths(run)) == before


def test_no_run(commands, tmp_path):
    assert_refused(commands(f"--run={tmp_path / 'absent'}"), "`run`=", "no run of examples.train")
    assert not list(tmp_path.iterdir())


def test_paths_of_flags(commands, tmp_path):
    """Shells leave ~ in a flag to the program; what lies on another machine is no path here."""
    home = f"import os\npatch.setitem(os.environ, 'HOME', {str(tmp_path)!r})"
    assert_refused(commands("--run=~/absent", setup=home), f"`run`={tmp_path / 'absent'}: no run of examples.train")
    done = commands("--run=gs://bucket/run")
    assert done.returncode == 1
    assert "--run=gs://bucket/run: must be on a file system of this machine" in done.stdout + done.stderr


def test_directory_is_a_file(run, commands):
    for directory in (run / "log.csv", run / "log.csv" / "deeper"):
        message = f"`directory`={directory}: {run / 'log.csv'} is a file; name a directory for the model."
        assert_refused(commands(f"--run={run}", f"--directory={directory}"), message)
    assert not (run / "export").exists()


def test_unexpected_argument(run, commands):
    done = commands(f"--run={run}", "here")
    assert done.returncode == 1
    assert "unexpected arguments ['here']: flags are written --name=value" in done.stdout + done.stderr
    assert not (run / "export").exists()


FULL = "resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))"
FULL_LATER = """
from examples import model_card
written = model_card.model_card

def fill(*arguments):
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    return written(*arguments)

patch.setattr(model_card, "model_card", fill)
"""


@pytest.mark.parametrize("there", [False, True], ids=["first", "second"])
@pytest.mark.parametrize("setup", [FULL, FULL_LATER], ids=["before", "meanwhile"])
def test_full_disk(setup, there, run, commands):
    if there:
        (run / "export" / "1").mkdir(parents=True)
    before = contents(run), paths(run)
    done = commands(f"--run={run}", setup=setup)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done
    message = "can't be written to (File too large)" if setup is FULL else "could not be written ("
    assert f"error: `directory`={run / 'export'}: {message}" in done.stderr
    assert (contents(run), paths(run)) == before


INTERRUPTED = """
import tensorflow as tf

def interrupted(*arguments, **options):
    os.kill(os.getpid(), signal.SIGINT)

patch.setattr(tf.saved_model, "save", interrupted)
"""


def test_ctrl_c(run, commands):
    before = contents(run), paths(run)
    done = commands(f"--run={run}", setup=INTERRUPTED)
    assert (done.returncode, done.stderr) == (130, "stopped; nothing was exported\n")
    assert (contents(run), paths(run)) == before
