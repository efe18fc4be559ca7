"""A directory of pictures can't take more of the machine than it has: sizes, names and links are checked first."""

import os
import shutil
import struct
import subprocess
import sys
import threading
import time
import zlib

import numpy as np
import pytest

from examples import data
from examples.data import picture_file, picture_folder
from tests.examples.commands import ROOT
from tests.examples.data.pictures import NAMES, Image

PEAK = """
import resource, sys
from PIL import Image, ImageOps
from examples.data import folder
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
before = peak()
try:
    print(folder(sys.argv[1], 8).name)
except ValueError as error:
    print(error)
print(peak() - before)
"""


def write_bomb(path, width, height, bits=1, kind=0, channels=1):
    """Writes a black PNG of any size without a picture in memory."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    compressor, row = zlib.compressobj(9), bytes(1 + (width * bits * channels + 7) // 8)
    rows = b"".join([*(compressor.compress(row) for _ in range(height)), compressor.flush()])
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))


@pytest.fixture
def pictures(tmp_path):
    """A directory with three good pictures."""
    for i, name in enumerate(NAMES):
        Image.fromarray(np.full((9, 9, 3), i, np.uint8)).save(tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("side", [9_400, 13_000, 20_000])
def test_the_header_refuses_a_picture(pictures, side):
    """Pillow decodes the first, warns of the second, and stops at the third."""
    write_bomb(pictures / "bomb.png", side, side)
    assert (pictures / "bomb.png").stat().st_size < 60_000
    with pytest.raises(ValueError, match=r"picture '.*bomb\.png': is too large \(.*\): must have at most 67,108,864 "):
        data.folder(pictures, 8)


def test_memory_is_bounded(tmp_path):
    """Four threads would take four times 0.5 GiB, or more."""
    pytest.importorskip("resource")
    side = int(picture_file.MAX_PIXELS**0.5)
    write_bomb(tmp_path / "a.png", side, side, bits=8, kind=6, channels=4)
    for name in NAMES:
        shutil.copyfile(tmp_path / "a.png", tmp_path / name)
    command = [sys.executable, "-c", PEAK, str(tmp_path)]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    name, added = done.stdout.splitlines()
    assert name == f"folder {tmp_path.name}, 4 pictures at 8x8"
    assert int(added) < 0.75 * 2**30


def test_enlarged_pictures_count_as_what_they_become(tmp_path, monkeypatch):
    """The limit is that of one enlarged picture, so threads must take turns."""
    for name in (*NAMES, "a.png", "b.png", "c.png"):
        Image.new("RGB", (1, 1)).save(tmp_path / name)
    lock, counts, resize = threading.Lock(), [0, 0], Image.Image.resize

    def slow_resize(*arguments, **keywords):
        with lock:
            counts[0] += 1
            counts[1] = max(counts)
        time.sleep(0.02)
        try:
            return resize(*arguments, **keywords)
        finally:
            with lock:
                counts[0] -= 1

    monkeypatch.setattr(picture_folder, "_NUM_THREADS", 4)
    monkeypatch.setattr(Image.Image, "resize", slow_resize)
    monkeypatch.setattr(picture_file, "MAX_PIXELS", 64)
    data.folder(tmp_path, 8)
    assert counts == [0, 1]


def test_a_size_larger_than_any_picture(pictures):
    with pytest.raises(ValueError, match=r"`size`=8193: must be at most 8192, the side of a square .*; lower it\."):
        data.folder(pictures, 8193)


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "gif", "webp"])
def test_every_format_has_the_limit(pictures, suffix, monkeypatch):
    monkeypatch.setattr(picture_file, "MAX_PIXELS", 200)
    Image.new("RGB", (10, 10)).save(pictures / f"a.{suffix}")  # A WebP counts twice.
    data.folder(pictures, 8)
    side = 11 if suffix == "webp" else 15
    Image.new("RGB", (side, side)).save(pictures / f"b.{suffix}")
    with pytest.raises(ValueError, match=rf"b\.{suffix}': is too large \({side}x{side}\): must have at most 200 pix"):
        data.folder(pictures, 8)


def test_a_frame_larger_than_its_animation(pictures):
    Image.new("P", (8, 8)).save(pictures / "a.gif")
    content = bytearray((pictures / "a.gif").read_bytes())
    frame = content.index(b"\x2c")
    content[frame + 5 : frame + 9] = struct.pack("<HH", 9_000, 9_000)
    (pictures / "a.gif").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.gif': is too large \(9000x9000\)"):
        data.folder(pictures, 8)


def test_a_file_larger_than_any_picture(pictures):
    (pictures / "a.webp").write_bytes(b"RIFF\xff\xff\xff\x7fWEBPVP8 ")
    os.truncate(pictures / "a.webp", 2**33)  # It takes no room on the disk.
    with pytest.raises(ValueError, match=r"a\.webp': is too large \(8,589,934,592 bytes\): .* and 201,326,592 bytes"):
        data.folder(pictures, 8)


def test_other_formats_are_not_tried(pictures):
    Image.new("RGB", (8, 8)).save(pictures / "a.png", "TIFF")
    with pytest.raises(ValueError, match=r"a\.png': can't be read \(cannot identify image file"):
        data.folder(pictures, 8)
    Image.new("RGB", (8, 8)).save(pictures / "a.png", "JPEG")  # Any of the formats may have any of the names.
    assert len(data.folder(pictures, 8).train) == 2


def test_several_pictures_in_a_jpeg(pictures):
    first, second = (Image.new("RGB", (8, 8), colour) for colour in ("white", "black"))
    first.save(pictures / "a.jpg", "MPO", save_all=True, append_images=[second])
    images = data.folder(pictures, 8)
    brightest = max(image.min() for split in (images.train, images.validation, images.test) for image in split.pixels)
    assert brightest == 255


@pytest.mark.parametrize("place", [b"\xff.png", b"\xff/a.png"])
def test_a_name_that_is_no_text(pictures, place):
    path = os.path.join(os.fsencode(pictures), place)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        shutil.copyfile(pictures / "0.png", path)
    except OSError:
        pytest.skip("this file system has no such names")
    with pytest.raises(
        ValueError, match=r"picture '.*\\udcff.*png': its name is not valid UTF-8; rename it\."
    ) as caught:
        data.folder(pictures, 8)
    str(caught.value).encode()  # It can be printed.


def test_a_directory_whose_name_is_no_text(tmp_path):
    directory = os.path.join(os.fsencode(tmp_path), b"\xff")
    try:
        os.mkdir(directory)
    except OSError:
        pytest.skip("this file system has no such names")
    with pytest.raises(ValueError, match=r"`path`='.*\\udcff': its name is not valid UTF-8; rename it\."):
        data.folder(os.fsdecode(directory), 8)


def test_links(pictures, tmp_path_factory):
    """Links to pictures are followed; those to directories, to themselves and to nothing are not."""
    other = tmp_path_factory.mktemp("other")
    shutil.copyfile(pictures / "0.png", other / "a.png")
    (pictures / "linked.png").symlink_to(other / "a.png")
    (pictures / "loop").symlink_to(pictures)
    (pictures / "other").symlink_to(other)
    (pictures / "self.png").symlink_to("self.png")
    (pictures / "nothing.png").symlink_to("missing")
    assert ", 4 pictures at 8x8" in data.folder(pictures, 8).name


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="pathlib no longer calls itself")
def test_directories_nested_too_deeply(pictures, monkeypatch):
    monkeypatch.chdir(pictures)
    for _ in range(1_200):
        os.mkdir("d")
        os.chdir("d")
    try:
        with pytest.raises(ValueError, match=r"`path`='.*': its directories are nested too deeply; move pictures up\."):
            data.folder(pictures, 8)
    finally:
        for _ in range(1_200):  # What deletes the directories of tests calls itself as well.
            os.chdir("..")
            os.rmdir("d")
