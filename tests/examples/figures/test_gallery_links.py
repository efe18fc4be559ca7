"""A gallery deletes and writes nothing outside of its directory, and its records can't exhaust the reader."""

import json
import os
import re
import zlib

import pytest

from examples import json_files
from examples.figures import gallery
from tests.examples.figures.gallery_runs import write_run, write_toy

DEEP = "[" * 100_000 + "]" * 100_000


@pytest.fixture
def made(tmp_path):
    """The run of a gallery, the gallery's directory, and one elsewhere that holds a file."""
    run, page, elsewhere = write_toy(tmp_path / "toy"), tmp_path / "page", tmp_path / "elsewhere"
    gallery.make([run], page)
    elsewhere.mkdir()
    (elsewhere / "file.png").write_text("of the reader")
    return run, page, elsewhere


def list_also(page, *names):
    """Adds files to the record of a gallery."""
    record = json.loads((page / gallery.RECORD).read_text())
    record["files"] += names
    (page / gallery.RECORD).write_text(json.dumps(record))


def contents(*directories):
    paths = [path for directory in directories for path in (directory, *directory.rglob("*"))]
    return {path: path.read_bytes() if path.is_file() else None for path in paths}


def refused(run, page, elsewhere, name):
    before = contents(page, elsewhere)
    with pytest.raises(FileExistsError, match=re.escape(f"holds {name}, which no gallery wrote; name a new or empty")):
        gallery.make([run], page)
    assert contents(page, elsewhere) == before


def test_a_linked_directory_is_not_emptied(made):
    run, page, elsewhere = made
    (page / "link").symlink_to(elsewhere)
    list_also(page, "link/file.png")
    refused(run, page, elsewhere, "link")


def test_a_linked_directory_is_not_removed(made):
    run, page, elsewhere = made
    (elsewhere / "file.png").unlink()
    (page / "link").symlink_to(elsewhere)
    list_also(page, "link/gone.png")
    refused(run, page, elsewhere, "link")


def test_the_directory_of_pictures_may_not_become_a_link(made):
    run, page, elsewhere = made
    (page / "toy").rename(elsewhere / "toy")
    (page / "toy").symlink_to(elsewhere / "toy")
    refused(run, page, elsewhere, "toy")


@pytest.mark.parametrize("name", [gallery.PAGE, gallery.RECORD, "toy/toy.png"])
def test_a_file_may_not_become_a_link(made, name):
    run, page, elsewhere = made
    (page / name).rename(elsewhere / "moved")
    (page / name).symlink_to(elsewhere / "moved")
    refused(run, page, elsewhere, name)


def test_a_listed_directory(made):
    run, page, elsewhere = made
    (page / "notes").mkdir()
    list_also(page, "notes")
    refused(run, page, elsewhere, "notes")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names")
@pytest.mark.timeout(60)
def test_a_record_that_is_a_pipe(made):
    run, page, elsewhere = made
    (page / gallery.RECORD).unlink()
    os.mkfifo(page / gallery.RECORD)
    refused(run, page, elsewhere, gallery.RECORD)


@pytest.mark.parametrize(
    "record",
    [DEEP, json.dumps({"figure": "gallery", "files": []}) + " " * 2**20, '{"figure": %s}' % ("9" * 5_000)],
    ids=["deep", "large", "number"],
)
def test_a_record_that_exhausts(made, record):
    run, page, elsewhere = made
    (page / gallery.RECORD).write_text(record)
    refused(run, page, elsewhere, gallery.RECORD)


def test_earlier_files_of_ones_own_are_deleted(made, tmp_path):
    _, page, elsewhere = made
    list_also(page, "old/a.png", "gone/b.png")
    (page / "old").mkdir()
    (page / "old" / "a.png").write_text("of the earlier gallery")
    gallery.make([write_run(tmp_path / "run")], page)
    assert sorted(path.name for path in page.iterdir()) == ["gallery.json", "index.html", "run"]
    assert (elsewhere / "file.png").read_text() == "of the reader"


# These tests are of the records of figures and runs.


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda words: DEEP, "it is nested more than 32 deep"),
        (lambda words: words[:-1] + ', "deep": ' + "[" * 40 + "]" * 40 + "}", "it is nested more than 32 deep"),
        (lambda words: words + " " * 2**20, "it has more than 1,048,576 bytes"),
        (lambda words: words.replace('"frames": 5', f'"frames": 1{"0" * 400}'), "it has a number of 401 digits"),
    ],
    ids=["deep", "rather deep", "large", "number"],
)
def test_a_figures_record_that_exhausts(damage, message, tmp_path):
    run = write_run(tmp_path / "run")
    path = run / "figures" / "dome.json"
    path.write_text(damage(path.read_text()))
    with pytest.raises(ValueError, match=rf"dome\.json: can't be read as JSON \({message}\); make the figure anew"):
        gallery.make([run], tmp_path / "page")
    assert not (tmp_path / "page").exists()


def test_a_picture_that_exhausts(tmp_path):
    run = write_run(tmp_path / "run")
    content = bytearray((run / "figures" / "samples.png").read_bytes())
    content[16:24] = (9_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    (run / "figures" / "samples.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"'samples\.png', which can't be decoded \(it has 9000x9000 pixels, more"):
        gallery.make([run], tmp_path / "page")


def test_json_that_is_read(tmp_path):
    path = tmp_path / "a.json"
    nested = [-(2**63), 1.5, {"a": [None, "ö"]}]
    path.write_text(json.dumps(nested), encoding="utf-8")
    assert json_files.read(path) == nested
    path.write_text("[" * 32 + "]" * 32)
    json_files.read(path)
    path.write_text("[" * 33 + "]" * 33)
    with pytest.raises(ValueError, match="it is nested more than 32 deep"):
        json_files.read(path)
