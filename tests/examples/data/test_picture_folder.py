"""`data.folder` reads any directory of pictures."""

import shutil

import numpy as np
import pytest

from examples import data
from examples.data import picture_folder

Image = pytest.importorskip("PIL.Image")


def write_picture(path, size=(40, 30), seed=0, mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], len(mode)), np.uint8)
    Image.fromarray(pixels[..., 0] if mode == "L" else pixels).save(path)
    return pixels


def unique_pixels(images):
    return {image.tobytes() for image in images}


def cubic_weights(length, side, target):
    """Weights [target, length] of the antialiased cubic filter (a = -1/2) on the central `side` of `length`."""
    centres = (length - side) / 2 + (np.arange(target)[:, None] + 0.5) * side / target - 0.5
    x = np.abs(np.arange(length) - centres) * target / side
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    weights = np.where(x < 1, near, np.where(x < 2, far, 0))
    return weights / weights.sum(1, keepdims=True)


def test_folder_splits(tmp_path):
    for i in range(60):
        write_picture(tmp_path / f"{i % 3}" / f"{i}.png", (9, 8), seed=i)
    images = data.folder(tmp_path, 8)
    held = {split: unique_pixels(getattr(images, split).pixels) for split in ("train", "validation", "test")}
    assert sum(map(len, held.values())) == 60 == len(set.union(*held.values()))
    assert all(1 <= len(held[split]) <= 9 for split in ("validation", "test"))
    assert images.levels == 256
    assert images.name == f"folder {tmp_path.name}, 60 pictures at 8x8"

    again = data.folder(str(tmp_path), 8)
    np.testing.assert_array_equal(again.train.pixels, images.train.pixels)
    for i in range(60, 80):
        write_picture(tmp_path / f"{i}.png", (9, 8), seed=i)
    more = data.folder(tmp_path, 8)
    for split, before in held.items():
        assert before <= unique_pixels(getattr(more, split).pixels)
    assert sum(len(getattr(more, split)) for split in held) == 80


@pytest.mark.parametrize("count", [3, 4, 5])
def test_small_folders_fill_every_split(count, tmp_path):
    for i in range(count):
        write_picture(tmp_path / f"{i}.png", (8, 8), seed=i)
    images = data.folder(tmp_path, 8)
    assert (len(images.train), len(images.validation), len(images.test)) == (count - 2, 1, 1)


@pytest.mark.parametrize("ranks", [[0.01, 0.02, 0.03], [0.06, 0.07, 0.08], [0.5, 0.6, 0.7], [0.01, 0.02, 0.5]])
def test_every_split_has_a_picture_whatever_the_hashes(ranks, tmp_path, monkeypatch):
    for i in range(3):
        write_picture(tmp_path / f"{i}.png", (8, 8), seed=i)
    monkeypatch.setattr(picture_folder, "_unit_hash", lambda name: ranks[int(name[0])])
    images = data.folder(tmp_path, 8)
    assert (len(images.train), len(images.validation), len(images.test)) == (1, 1, 1)


@pytest.mark.parametrize("size", [(40, 30), (30, 40), (33, 38), (16, 50), (16, 16)])
def test_folder_resizes_and_crops(size, tmp_path):
    pixels = write_picture(tmp_path / "a.png", size).astype(float)
    for name in ("b.png", "c.png"):
        Image.new("RGB", (16, 16)).save(tmp_path / name)
    images = data.folder(tmp_path, 16)
    (found,) = (
        image
        for image in np.concatenate([s.pixels for s in (images.train, images.validation, images.test)])
        if image.any()
    )
    down, across = cubic_weights(size[1], min(size), 16), cubic_weights(size[0], min(size), 16)
    expected = np.einsum("ih,jw,hwc->ijc", down, across, pixels).clip(0, 255)
    # Pillow rounds, and clips, after each direction: its overshoot at extremes is less than that of exact arithmetic.
    error = np.abs(found - expected)
    assert np.median(error) < 0.5
    assert error.max() < 3


def test_folder_converts_modes_and_formats(tmp_path):
    grey = write_picture(tmp_path / "grey.png", (8, 8), seed=1, mode="L")
    alpha = write_picture(tmp_path / "sub" / "alpha.PNG", (8, 8), seed=2, mode="RGBA")
    for suffix in ("jpg", "jpeg", "bmp", "gif", "webp"):
        Image.new("RGB", (8, 8), (200, 100, 50)).save(tmp_path / f"plain.{suffix}")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "._plain.jpg").write_text("left by another system")
    images = data.folder(tmp_path, 8)
    everything = np.concatenate([s.pixels for s in (images.train, images.validation, images.test)])
    assert len(everything) == 7
    found = unique_pixels(everything)
    assert np.repeat(grey[..., :1], 3, -1).tobytes() in found
    assert alpha[..., :3].tobytes() in found
    plain = [image for image in everything if np.abs(image.astype(int) - (200, 100, 50)).max() < 8]
    assert len(plain) == 5


def test_folder_turns_pictures_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # This orientation means: to be shown turned a quarter clockwise.
    for i in range(3):
        pixels = np.zeros((8, 8, 3), np.uint8)
        pixels[:4] = 255  # The top of the stored picture is white.
        Image.fromarray(pixels).save(tmp_path / f"{i}.png", exif=exif)
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


@pytest.mark.parametrize("fault", ["text", "cut", "small", "deep"])
def test_folder_names_the_bad_picture(fault, tmp_path):
    for i in range(4):
        write_picture(tmp_path / f"{i}.png", (40, 30), seed=i)
    bad, message = tmp_path / "bad.png", "can't be read .*; repair or remove it"
    if fault == "text":
        bad.write_text("no picture")
    elif fault == "cut":
        write_picture(bad)
        bad.write_bytes(bad.read_bytes()[:1000])
    elif fault == "small":
        write_picture(bad, (40, 7))
        message = "is 40x7, smaller than `size`=8; remove it or lower `size`"
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
