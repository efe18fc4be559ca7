"""`data.folder` reads any directory of pictures."""

import shutil

import numpy as np
import pytest

from examples import data
from tests.examples.data.pictures import NAMES, Image, all_pixels, write_picture


def unique_pixels(images):
    return {image.tobytes() for image in images}


def cubic_weights(length, side, target):
    """Weights [target, length] of the cubic filter (a = -1/2) on the central `side` of `length`, wider to reduce."""
    centres = (length - side) / 2 + (np.arange(target)[:, None] + 0.5) * side / target - 0.5
    x = np.abs(np.arange(length) - centres) * min(1, target / side)
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    weights = np.where(x < 1, near, np.where(x < 2, far, 0))
    return weights / weights.sum(1, keepdims=True)


@pytest.mark.parametrize("size", [(40, 30), (30, 40), (33, 38), (16, 50), (16, 16), (9, 5), (20, 12), (8, 8)])
def test_folder_resizes_and_crops(size, tmp_path):
    pixels = write_picture(tmp_path / "a.png", size).astype(float)
    for name in NAMES:
        Image.new("RGB", (16, 16)).save(tmp_path / name)
    (found,) = (image for image in all_pixels(data.folder(tmp_path, 16)) if image.any())
    down, across = cubic_weights(size[1], min(size), 16), cubic_weights(size[0], min(size), 16)
    # Pillow rounds, and clips, after each direction.
    wide = np.einsum("jw,hwc->hjc", across, pixels).round().clip(0, 255)
    expected = np.einsum("ih,hjc->ijc", down, wide).round().clip(0, 255)
    # Where exact arithmetic is close to a half, the two may round differently, and the second direction adds to that.
    error = np.abs(found - expected)
    assert np.mean(error > 0) < 0.02
    assert error.max() <= 2


def test_folder_converts_modes_and_formats(tmp_path):
    grey = write_picture(tmp_path / "grey.png", (8, 8), seed=1, mode="L")
    alpha = write_picture(tmp_path / "sub" / "alpha.PNG", (8, 8), seed=2, mode="RGBA")
    for name in (*NAMES, "plain.jpg", "plain.jpeg", "plain.bmp", "plain.gif", "plain.webp"):
        Image.new("RGB", (8, 8), (200, 100, 50)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "._plain.jpg").write_text("left by another system")
    everything = all_pixels(data.folder(tmp_path, 8))
    assert len(everything) == 10
    found = unique_pixels(everything)
    assert np.repeat(grey[..., :1], 3, -1).tobytes() in found
    assert alpha[..., :3].tobytes() in found
    plain = [image for image in everything if np.abs(image.astype(int) - (200, 100, 50)).max() < 8]
    assert len(plain) == 8


def test_folder_turns_pictures_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # This orientation means: to be shown turned a quarter clockwise.
    for name in NAMES:
        pixels = np.zeros((8, 8, 3), np.uint8)
        pixels[:4] = 255  # The top of the stored picture is white.
        Image.fromarray(pixels).save(tmp_path / name, exif=exif)
    shown = data.folder(tmp_path, 8).train.pixels[0]
    assert (shown[:, 4:] == 255).all()
    assert (shown[:, :4] == 0).all()


@pytest.mark.parametrize("size", [0, -1, 8.0, "8", True])
def test_folder_size_error(size, tmp_path):
    with pytest.raises(ValueError, match=f"`size`={size!r}: must be an int of at least 1, the side of an image"):
        data.folder(tmp_path, size)


def test_folder_path_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"`path`='.*nowhere': does not exist; give a directory of pictures"):
        data.folder(tmp_path / "nowhere", 8)
    write_picture(tmp_path / "a.png")
    with pytest.raises(NotADirectoryError, match=r"a\.png': is a file; give the directory"):
        data.folder(tmp_path / "a.png", 8)
    with pytest.raises(ValueError, match=r"holds 1 pictures \(.png, .*must hold at least 3"):
        data.folder(tmp_path, 8)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds 0 pictures"):
        data.folder(tmp_path / "empty", 8)


@pytest.mark.parametrize("fault", ["text", "cut", "deep"])
def test_folder_names_the_bad_picture(fault, tmp_path):
    for name in NAMES:
        write_picture(tmp_path / name)
    bad, message = tmp_path / "bad.png", "can't be read .*; repair or remove it"
    if fault == "text":
        bad.write_text("no picture")
    elif fault == "cut":
        write_picture(bad)
        bad.write_bytes(bad.read_bytes()[:1000])
    else:
        Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(bad)
        message = "has more than 8 bits a channel; convert it to 8 bits"
    with pytest.raises(ValueError, match=f"picture '.*bad.png': {message}") as caught:
        data.folder(tmp_path, 8)
    assert (caught.value.__cause__ is not None) == (fault in ("text", "cut"))


def test_folder_shows_progress_when_there_are_many(tmp_path, capsys):
    write_picture(tmp_path / "0.png", (4, 4))
    for i in range(1, 501):
        shutil.copyfile(tmp_path / "0.png", tmp_path / f"{i}.png")
    data.folder(tmp_path, 4)
    assert "reading pictures: 100%" in capsys.readouterr().err
    (tmp_path / "500.png").unlink()
    data.folder(tmp_path, 4)
    assert capsys.readouterr().err == ""


def write_sizes(path, sizes, others=()):
    for i, size in enumerate([(8, 8)] * 10 + sizes):
        write_picture(path / f"{i}.png", size)
    for name in others:
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text("no picture")


COUNTS = {
    "nothing": ([], [], [], []),
    "one of each": (
        [(9, 8), (7, 7)],
        ["notes.txt"],
        ["1 of 12 pictures cut to a square", "1 of 12 pictures enlarged"],
        ["1 file skipped (hidden, or no pictures)"],
    ),
    "both at once": ([(9, 7)], [], ["1 of 11 pictures cut to a square", "1 of 11 pictures enlarged"], []),
    "skipped": (
        [],
        [".a.png", ".DS_Store", "b.PDF", "c", ".hidden/d.png", "shown/e.txt"],
        [],
        ["6 files skipped (hidden, or no pictures)"],
    ),
    "many": ([(20, 30)] * 990, [], ["990 of 1,000 pictures cut to a square"], []),
}


@pytest.mark.parametrize("name", COUNTS)
def test_folder_counts_what_it_changed_and_skipped(name, tmp_path):
    sizes, others, changes, skipped = COUNTS[name]
    write_sizes(tmp_path, sizes, others)
    images = data.folder(tmp_path, 8)
    assert images.preprocessing == "; ".join(["short side to 8 (bicubic, antialiased), central square", *changes])
    assert images.notes == "; ".join([*changes, *skipped])
    assert images.name == f"folder {tmp_path.name}, {10 + len(sizes)} pictures at 8x8"


def test_other_files_leave_a_run_what_it_is(tmp_path):
    """A file that another program leaves there must not keep a run from resuming."""
    write_sizes(tmp_path, [(9, 8)])
    before = data.folder(tmp_path, 8)
    (tmp_path / "Thumbs.db").write_text("left by another system")
    after = data.folder(tmp_path, 8)
    assert (after.name, after.splits, after.preprocessing) == (before.name, before.splits, before.preprocessing)
    assert after.notes != before.notes
