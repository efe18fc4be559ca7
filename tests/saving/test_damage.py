"""Files that are damaged, missing or of another version are named by `load_flow`, and nothing is loaded from them."""

import json
import random
import re

import pytest

from tests import models
from tests.saving import distributions
from tfp_realnvp import export_saved_model, load_flow, save_flow


def _damage(content, places):
    """Yields the content with one bit changed, at each of the places."""
    chosen = random.Random(0)
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 1 << chosen.randrange(8)
        yield damaged


def test_a_damaged_byte_of_the_weights_is_found_or_does_no_harm(copied):
    chosen = random.Random(0)
    expected = distributions.answers(load_flow(copied))
    found = 0
    for path in sorted((copied / "1" / "variables").iterdir()):
        content = path.read_bytes()
        some = {0, len(content) - 1, *(chosen.randrange(len(content)) for _ in range(60))}
        for damaged in _damage(content, sorted(some)):
            path.write_bytes(damaged)
            try:
                answers = distributions.answers(load_flow(copied))
            except ValueError as error:
                assert re.search("variables.* (damaged|fit)", str(error))  # noqa: PT017
                found += 1
            else:
                assert answers == expected  # The byte is one that TensorFlow does not read for the flow.
        for changed in (content[: len(content) // 2], b""):
            path.write_bytes(changed)
            with pytest.raises(ValueError, match=r"variables is damaged"):
                load_flow(copied)
        path.unlink()
        with pytest.raises(ValueError, match=r"variables is damaged"):
            load_flow(copied)
        path.write_bytes(content)
    assert found > 60
    load_flow(copied)


def test_a_damaged_description_is_named(copied):
    path = copied / "1" / "flow.json"
    content = path.read_bytes()
    for changed in (content[:-3], content[1:], content.replace(b":", b"", 1), b"\xff" + content, b"", b"[1]", b"null"):
        path.write_bytes(changed)
        with pytest.raises(ValueError, match=r"flow\.json is damaged"):
            load_flow(copied)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"flow\.json is missing"):
        load_flow(copied)
    path.write_bytes(content)
    load_flow(copied)


def _rewrite(directory, **changes):
    path = directory / "1" / "flow.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_another_version_is_named(copied):
    _rewrite(copied, format=4, versions={"tfp_realnvp": "9.0"})
    with pytest.raises(ValueError, match=r"format 4, by tfp_realnvp 9\.0; this is tfp_realnvp .* reads format 3"):
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
    commands = r"`save_flow\(distribution, directory\)` or, for a run, `python -m examples.export --run=RUN`"
    with pytest.raises(FileNotFoundError, match=f"exported for serving only.*{commands}"):
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


@pytest.mark.parametrize(
    "distribution", [None, {}, [], {"class": "tfd.Normal", "mean": 0.0}, {"class": "Tensor"}, {"class": 3}]
)
def test_a_description_that_leads_nowhere_is_named(copied, distribution):
    _rewrite(copied, distribution=distribution)
    with pytest.raises(ValueError, match=r"flow\.json: .* builds no distribution|class 3 is not known"):
        load_flow(copied)
