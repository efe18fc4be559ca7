"""The page of all figures holds what it should and refuses what is damaged. `test_gallery_browser` opens it."""

import html.parser
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from examples.figures import gallery
from tests.examples.commands import ROOT
from tests.examples.figures.gallery_runs import hostile_page, write_all, write_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return write_all(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def page(runs, tmp_path_factory):
    directory = tmp_path_factory.mktemp("out") / "not" / "there"
    gallery.make(runs, directory)
    return directory


def text(page):
    """The words of the page, without tags, as a reader sees them."""
    body = (page / gallery.PAGE).read_text().split("<main>")[1].split("</main>")[0]
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


# These tests are of what stands on the page.


def test_record_and_copies(runs, page):
    record = json.loads((page / "gallery.json").read_text())
    assert record["pictures"][0]["file"] == "index.html"
    there = {str(p.relative_to(page)) for p in page.rglob("*") if not p.is_dir()}
    assert there == set(record["files"])
    assert not any(p.is_symlink() for p in page.rglob("*"))
    copied = page / "cifar10-small" / "dome_frames.png"
    assert copied.read_bytes() == (runs[0] / "figures" / "dome_frames.png").read_bytes()


def test_numbers_and_commands(page):
    cifar, celeba, toy = re.split("CelebA|Two moons", text(page))
    assert "CIFAR-10 config cifar10_small · released preset · cifar10 3.0.2 (TFDS)" in cifar
    assert "Test bits/dim 3.791 ± 0.013 Paper, test (train) 3.49 Evaluated on 2,000 images" in cifar
    assert "(first 2,000 of 10,000: test), 1 noise draw Trained on 144,000 images, 18.6 min" in cifar
    assert "python -m examples.train --config=cifar10_small" in cifar
    assert "python -m examples.figures dome --run=DIR --seed=3" in cifar
    assert "/home/me" not in text(page)
    assert "subset" not in cifar
    assert "no bound" not in cifar
    assert "3.791 ± 0.013 subset or stand-in no bound Paper, test (train) 3.02 (2.97), not comparable" in celeba
    assert "4 noise draws" in celeba
    assert "Attributes temperature 0.7, after step 2250; bits/dim are of step 9" in celeba
    assert "Held out nats -0.3051 Steps 3,000" in toy


def test_what_was_not_made(tmp_path):
    write_run(tmp_path / "my runs" / "a", None, without=("samples", "dome", "extrapolate"))
    gallery.make([tmp_path / "my runs" / "a"], tmp_path / "page")
    # The command names no path.
    assert "Samples not made python -m examples.figures samples --run=" not in text(tmp_path / "page")
    assert "Samples not made python -m examples.figures samples '--run=DIR'" in text(tmp_path / "page")
    assert text(tmp_path / "page").count("python -m examples.figures extrapolate") == 2
    assert "not evaluated To evaluate python -m examples.evaluate" in text(tmp_path / "page")
    assert (tmp_path / "page" / "a" / "manifold.png").is_file()  # It takes the place of the dome.


def test_needs_no_tensorflow(runs, tmp_path):
    code = "import sys; from examples.figures import gallery; gallery.make(sys.argv[2:], sys.argv[1])\n"
    code += "assert not {'tensorflow', 'numpy'} & sys.modules.keys()"
    command = [sys.executable, "-c", code, tmp_path / "page", runs[0]]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_nothing_from_outside(page):
    source = (page / gallery.PAGE).read_text()
    assert re.findall(r"\w+://[^'\"]*", source) == ["http://www.w3.org/2000/svg", "https://arxiv.org/abs/1605.08803"]
    assert "default-src 'none'" in source


def test_text_is_escaped(page, tmp_path):
    class Tags(html.parser.HTMLParser):
        def __init__(self, path):
            super().__init__()
            self.tags = []
            self.feed((path / gallery.PAGE).read_text())

        def handle_starttag(self, tag, attributes):
            self.tags.append((tag, tuple(name for name, _ in attributes)))

    hostile = Tags(hostile_page(tmp_path)).tags
    assert set(hostile) <= {*Tags(page).tags, ("p", ("class",))}
    assert hostile.count(("script", ())) == 1


def test_made_anew(runs, tmp_path):
    gallery.make(runs, tmp_path / "page")
    (tmp_path / "page" / "CNAME").write_text("of the reader")
    gallery.make(runs[:1], tmp_path / "page")
    assert sorted(p.name for p in (tmp_path / "page").iterdir()) == [
        "CNAME",
        "cifar10-small",
        "gallery.json",
        "index.html",
    ]


def test_runs_of_one_name(runs, tmp_path):
    other = write_run(tmp_path / "x" / "cifar10_small")
    gallery.make([runs[0], other], tmp_path / "page")
    assert (tmp_path / "page" / "cifar10-small-2" / "dome.png").is_file()


# These tests are of what is refused.


def change(name, **fields):
    def apply(run):
        path = run / "figures" / f"{name}.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | fields))

    return apply


def cut(name):
    def apply(run):
        path = run / "figures" / name
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return apply


def link(run):
    shutil.move(run / "figures" / "samples.png", run / "samples.png")
    (run / "figures" / "samples.png").symlink_to(run / "samples.png")


def picture(file):
    return [{"file": file, "alt": "a"}]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (cut("samples.json"), r"samples\.json: can't be read as JSON .*make the figure anew: python -m examples"),
        (lambda run: (run / "figures" / "samples.json").write_bytes(b"\xff"), r"samples\.json: can't be read as JSON"),
        (lambda run: (run / "figures" / "samples.json").write_text("[]"), "must hold one JSON object"),
        (change("samples", pictures={}), "a list of `pictures`"),
        (change("samples", pictures=[{"file": "samples.png"}]), "the texts `file` and `alt`"),
        (change("samples", command=3), "`command`=3 must be a text"),
        (
            change("samples", pictures=picture("no.png")),
            r"samples\.json: names the picture 'no\.png', which is missing",
        ),
        (change("samples", pictures=picture("../result.png")), "'../result.png', which must be a .png or .webp file"),
        (change("samples", pictures=picture("/etc/passwd")), "'/etc/passwd', which must be"),
        (change("samples", pictures=picture("samples.json")), "'samples.json', which must be"),
        (link, r"'samples\.png', which must be a \.png or \.webp file beside the record"),
        (cut("samples.png"), r"'samples\.png', which can't be decoded"),
        (cut("dome.webp"), r"'dome\.webp', which can't be decoded"),
        (cut("../result_test.json"), r"result_test\.json: can't be read as JSON"),
        (lambda run: shutil.rmtree(run / "figures"), "`run`=.*has neither figures/ nor toy.json; make its figures"),
        (shutil.rmtree, "`run`=.*no such directory; name a run's directory"),
    ],
)
def test_damaged_runs(tmp_path, damage, words):
    damage(write_run(tmp_path / "run"))
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        gallery.make([tmp_path / "run"], tmp_path / "page" / "deep")
    assert not (tmp_path / "page").exists()


@pytest.mark.parametrize(("frames", "columns"), [(5, 4), (9, 3), (0, 3), (5, None), (True, True), ("5", "3")])
def test_frames_that_are_not_there(tmp_path, frames, columns):
    run = write_run(tmp_path / "run")
    record = json.loads((run / "figures" / "dome.json").read_text())
    record["pictures"][1] |= {"frames": frames, "columns": columns}
    change("dome", **record)(run)
    with pytest.raises(ValueError, match=r"dome\.json: `frames` and `columns` are not those of dome_frames\.png"):
        gallery.make([run], tmp_path / "page")


@pytest.mark.parametrize("none", [[], (), "runs/digits"])
def test_no_runs(tmp_path, none):
    with pytest.raises(ValueError, match=r"`run`=.*at least one; name each, --run=DIR"):
        gallery.make(none, tmp_path / "page")


def test_directories_that_are_not_free(runs, tmp_path):
    (tmp_path / "file").write_text("")
    for directory in (tmp_path / "file", tmp_path / "file" / "page"):
        with pytest.raises(NotADirectoryError, match=r"`out`=.*file is a file; name a directory"):
            gallery.make(runs, directory)
    for name, words in {"thesis.tex": "", "gallery.json": '{"figure": "gallery", "files": ["../thesis.tex"]}'}.items():
        (tmp_path / name / "page").mkdir(parents=True)
        (tmp_path / name / "page" / name).write_text(words)
        with pytest.raises(FileExistsError, match=f"`out`=.*holds {name}, which no gallery wrote; name a new"):
            gallery.make(runs, tmp_path / name / "page")
        assert [p.name for p in (tmp_path / name / "page").iterdir()] == [name]
    with pytest.raises(FileExistsError, match="which no gallery wrote"):
        gallery.make(runs[:1], runs[0] / "figures")
    gallery.make(runs[:1], tmp_path / "mine")
    (tmp_path / "mine" / "toy").write_text("of the reader")
    with pytest.raises(FileExistsError, match="holds toy, which no gallery wrote"):
        gallery.make(runs, tmp_path / "mine")
    assert (tmp_path / "mine" / "toy").read_text() == "of the reader"


@pytest.mark.skipif(not pathlib.Path("/proc/self").is_dir(), reason="no directory that even root can't write to")
def test_unwritable_directory(runs):
    with pytest.raises(OSError, match=r"`out`=/proc/page: can't be written to .*; name a directory that can, or free"):
        gallery.make(runs, "/proc/page")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("failing", ["dome.webp", "index.html"])
def test_nothing_half_written(runs, tmp_path, monkeypatch, failing, error):
    def fail(function):
        def replaced(source, target):
            if pathlib.Path(target).name == failing:
                raise error
            return function(source, target)

        return replaced

    gallery.make(runs[2:], tmp_path / "old")
    before = {p: p.read_bytes() for p in (tmp_path / "old").rglob("*") if p.is_file() and p.name != "gallery.json"}
    monkeypatch.setattr(shutil, "copyfile", fail(shutil.copyfile))
    monkeypatch.setattr(os, "replace", fail(os.replace))
    for directory in (tmp_path / "new" / "page", tmp_path / "old"):
        with pytest.raises(type(error), match="can't be written to" if isinstance(error, OSError) else None):
            gallery.make(runs, directory)
    assert not (tmp_path / "new").exists()
    after = {p: p.read_bytes() for p in (tmp_path / "old").rglob("*") if p.is_file() and p.name != "gallery.json"}
    assert after == before
