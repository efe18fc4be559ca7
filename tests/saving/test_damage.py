"""Files that are damaged, missing or of another version are named by `load_flow`, and nothing is loaded from them."""

import json
import random

import pytest

from tests import models
from tfp_realnvp import export_saved_model, load_flow, save_flow, version_folders


def test_any_damaged_byte_is_found(copied):
    chosen = random.Random(0)
    for path in sorted(p for p in copied.rglob("*") if p.is_file()):
        content = path.read_bytes()
        some = {0, len(content) - 1, *(chosen.randrange(len(content)) for _ in range(8))}
        for place in sorted(some) if len(content) > 3000 else range(0, len(content), 7):
            damaged = bytearray(content)
            damaged[place] ^= 1 << chosen.randrange(8)
            path.write_bytes(damaged)
            with pytest.raises(ValueError, match=r"damaged|missing|not listed") as raised:
                load_flow(copied)
            assert path.name in str(raised.value)
        for changed in (content[:-1], content + b"\n", b""):
            path.write_bytes(changed)
            with pytest.raises(ValueError, match=path.name.replace(".", r"\.")):
                load_flow(copied)
        path.unlink()
        with pytest.raises((FileNotFoundError, ValueError), match=rf"{path.name}.* is missing"):
            load_flow(copied)
        path.write_bytes(content)
    load_flow(copied)


def test_files_that_do_not_belong_are_named(copied):
    (copied / "1" / ".hidden").touch()
    load_flow(copied)
    (copied / "1" / "variables" / "more").touch()
    with pytest.raises(ValueError, match="variables/more is not listed"):
        load_flow(copied)


def _rewrite(directory, **changes):
    path = directory / "1" / "flow.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    (directory / "1" / "SHA256SUMS").unlink()
    version_folders._seal(directory / "1")


def test_another_version_is_named(copied):
    _rewrite(copied, format=2, versions={"tfp_realnvp": "9.0"})
    with pytest.raises(ValueError, match=r"format 2, by tfp_realnvp 9\.0; this is tfp_realnvp .* reads format 1"):
        load_flow(copied)


def test_weights_that_do_not_fit_are_named(copied):
    description = json.loads((copied / "1" / "flow.json").read_text())["distribution"]
    description["bijector"]["width"] = 3
    _rewrite(copied, distribution=description)
    with pytest.raises(ValueError, match="its weights don't fit"):
        load_flow(copied)


def test_a_directory_without_a_flow_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no saved flow"):
        load_flow(tmp_path)
    with pytest.raises(FileNotFoundError, match="holds no saved flow"):
        load_flow(tmp_path / "nowhere")
    export_saved_model(models.normal(), tmp_path)
    with pytest.raises(FileNotFoundError, match="exported for serving only"):
        load_flow(tmp_path)


@pytest.mark.parametrize("function", [save_flow, export_saved_model, lambda _, directory: load_flow(directory)])
def test_directories_that_are_none_are_refused(function, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for wrong in (None, 3):
        with pytest.raises(TypeError, match=rf"`directory`={wrong}: must be a path"):
            function(models.normal(), wrong)
    with pytest.raises(ValueError, match="`directory`=gs://bucket/flow: must be on a file system of this machine"):
        function(models.normal(), "gs://bucket/flow")
    assert not list(tmp_path.iterdir())
