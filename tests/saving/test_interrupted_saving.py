"""When saving fails or is killed, either the flow that was saved before or the new one is there as a whole."""

import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
import tensorflow as tf

from tests import models
from tfp_realnvp import load_flow, save_flow
from tfp_realnvp.saving import version_folders


def test_a_full_disk_leaves_the_old_flow(copied, monkeypatch):
    def contents():
        return {p: p.read_bytes() for p in copied.rglob("*") if p.is_file()}

    before = contents()

    def full(*args, **kwargs):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(tf.saved_model, "save", full)
        with pytest.raises(OSError, match=r"`directory`=.*No space left.*is unchanged"):
            save_flow(models.flow(), copied)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 0))
        with pytest.raises(OSError, match="has room for 0 bytes"):
            save_flow(models.flow(), copied)
    assert contents() == before
    assert [p.name for p in copied.iterdir()] == ["1"]


# This program writes a version and removes the older ones, as `save_flow` does, and kills itself before its Nth
# operation on the file system. It has no TensorFlow, which would take seconds to import.
_WRITER = """
import importlib.util, os, pathlib, signal, sys, types
tensorflow = types.ModuleType("tensorflow")
tensorflow.errors = types.SimpleNamespace(OpError=ArithmeticError)
sys.modules["tensorflow"] = tensorflow
for name in ("atomic", "version_folders"):
    spec = importlib.util.spec_from_file_location(f"tfp_realnvp.saving.{name}", f"{sys.argv[1]}/{name}.py")
    folders = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(folders)
directory, content, last = sys.argv[2], sys.argv[3], int(sys.argv[4])
operations = 0

def watch(event, arguments):
    global operations
    if event in ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree"):
        operations += 1
        if operations == last:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(watch)
with folders.new_version(directory, 10) as folder:
    (folder / "inner").mkdir()
    for name in ("a", "inner/b"):
        (folder / name).write_text(content)
for old in folders.version_folders(directory)[:-1]:
    folders.remove_version(old)
print(operations)
"""


def _write(directory, content, last=-1):
    sources = pathlib.Path(version_folders.__file__).parent
    command = [sys.executable, "-c", _WRITER, str(sources), str(directory), content, str(last)]
    return subprocess.run(command, capture_output=True, text=True)


def _content(directory):
    folder = version_folders.version_folders(directory)[-1]
    (content,) = {(folder / name).read_text() for name in ("a", "inner/b")}
    return content


def test_killed_at_any_operation_the_old_or_the_new_is_there(tmp_path):
    _write(tmp_path / "dry", "old")
    operations = int(_write(tmp_path / "dry", "new").stdout)
    assert operations > 20
    seen = []
    for last in range(1, operations + 1):
        directory = tmp_path / str(last)
        shutil.copytree(tmp_path / "dry", directory)
        assert _content(directory) == "new"
        assert _write(directory, "newer", last).returncode == -signal.SIGKILL
        seen.append(_content(directory))
        assert _write(directory, "newest").returncode == 0
        assert _content(directory) == "newest"
        assert len(list(directory.iterdir())) == 1
    assert set(seen) == {"new", "newer"}
    assert seen == sorted(seen)


_SAVER = """
import sys
from tests import models
from tfp_realnvp import save_flow
distribution = models.flow()
while True:
    for v in distribution.variables:
        v.assign_add(v * 0 + 1)
    save_flow(distribution, sys.argv[1])
    print("saved", flush=True)
"""


@pytest.mark.slow
def test_killed_at_any_time_the_flow_loads(tmp_path):
    root = pathlib.Path(__file__).parents[2]
    chosen = random.Random(0)
    for _ in range(5):
        command = [sys.executable, "-c", _SAVER, str(tmp_path)]
        with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": "."}) as saver:
            saver.stdout.readline()
            time.sleep(chosen.uniform(0, 4))
            saver.kill()
        # Means start at 0, and each saving has them larger by 1.
        means = [v.numpy() for v in load_flow(tmp_path).variables if "mean" in v.name]
        assert len({value for mean in means for value in mean}) == 1
        assert means[0][0] >= 1
