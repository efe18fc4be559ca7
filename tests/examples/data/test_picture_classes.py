"""`data.folder(conditional=True)`: the class of a picture is the first folder of its name."""

import os
import shutil

import numpy as np
import pytest

from examples import data
from examples.data import picture_names
from tests.examples.data.pictures import SPLITS, number_of_plain, write_plain

CLASSES = ("Zebra", "ant", "bee", "übung 10%")  # as Python, torchvision and Keras sort them


def write_classes(path, names=CLASSES, count=30):
    """Writes `count` pictures a class, of which every second lies deeper; returns a dict from number to class."""
    class_of = {}
    for i in range(count):
        for name in names:
            number = len(class_of)
            write_plain(path / name / ("more/ant" if i % 2 else "") / f"{i}.png", number)
            class_of[number] = name
    return class_of


def test_classes_are_the_first_folders(tmp_path):
    class_of = write_classes(tmp_path)
    (tmp_path / "notes.txt").write_text("no picture")
    write_plain(tmp_path / ".thumbnails" / "0.png", 9999)
    plain, images = data.folder(tmp_path, 2), data.folder(tmp_path, 2, conditional=True)
    assert images.conditioning_names == CLASSES
    assert images.name == plain.name == f"folder {tmp_path.name}, 120 pictures at 2x2"
    for split in SPLITS:
        found = getattr(images, split)
        np.testing.assert_array_equal(found.pixels, getattr(plain, split).pixels)
        assert getattr(plain, split).conditioning_size == 0
        assert found.conditioning.dtype == np.float32
        expected = [[class_of[number_of_plain(p)] == name for name in CLASSES] for p in found.pixels]
        np.testing.assert_array_equal(found.conditioning, expected)
    assert plain.conditioning_names == ()


def test_a_class_that_is_added_moves_no_picture(tmp_path):
    write_classes(tmp_path, CLASSES[1:])
    before = data.folder(tmp_path, 2, conditional=True)
    write_classes(tmp_path, ["Aardvark"], 5)
    after = data.folder(tmp_path, 2, conditional=True)
    assert after.conditioning_names == ("Aardvark", *CLASSES[1:])
    for split in SPLITS:
        old, new = getattr(before, split), getattr(after, split)
        kept = new.conditioning[:, 0] == 0
        np.testing.assert_array_equal(new.pixels[kept], old.pixels)
        np.testing.assert_array_equal(new.conditioning[kept, 1:], old.conditioning)


def refused(path, message):
    with pytest.raises(ValueError, match=message):
        data.folder(path, 2, conditional=True)


def test_pictures_outside_of_classes(tmp_path):
    write_classes(tmp_path)
    for name in ("b.png", "a.png"):
        write_plain(tmp_path / name, 5000)
    message = (
        r"`conditional`=True: `path`='.*' itself holds 2 of 122 pictures, such as 'a\.png': each must lie in a folder "
        "that is named as its class; move them there, or leave `conditional` out"
    )
    refused(tmp_path, message)
    flat = tmp_path / "flat"
    for i in range(40):
        write_plain(flat / f"{i}.png", i)
    refused(flat, r"`path`='.*flat' itself holds 40 of 40 pictures, such as '0\.png'")


def test_one_class(tmp_path):
    write_classes(tmp_path, ["animals/ant", "animals/bee"])
    refused(tmp_path, "holds one class, 'animals': there must be at least 2 folders in it, .*; name the directory that")
    images = data.folder(tmp_path / "animals", 2, conditional=True)
    assert images.conditioning_names == ("ant", "bee")


def test_a_class_without_training_pictures(tmp_path):
    write_classes(tmp_path)
    held_out = next(f"cat/{i}.png" for i in range(1000) if picture_names.split_of(f"cat/{i}.png") == "test")
    write_plain(tmp_path / held_out, 5000)
    refused(
        tmp_path,
        r"in `path`='.*', 1 of 5 classes have no picture for training; 'cat' has 1 in all: each class must have one "
        r"\(.*\); add pictures to its folder, remove it, or leave `conditional` out",
    )
    assert data.folder(tmp_path, 2).conditioning_names == ()


def test_a_class_without_pictures(tmp_path):
    write_classes(tmp_path)
    (tmp_path / "empty").mkdir()
    refused(tmp_path, "1 of 5 classes have no picture for training; 'empty' has 0 in all")
    (tmp_path / "empty").rmdir()
    (tmp_path / "linked").symlink_to(tmp_path / "ant")
    refused(tmp_path, r"1 of 5 classes .*; 'linked' has 0 in all: .*links to folders are not followed")


@pytest.mark.parametrize("with_picture", [True, False])
def test_a_class_whose_name_is_no_text(with_picture, tmp_path):
    write_classes(tmp_path)
    place = os.path.join(os.fsencode(tmp_path), b"\xff")
    try:
        os.mkdir(place)
    except OSError:
        pytest.skip("this file system has no such names")
    if with_picture:
        shutil.copyfile(tmp_path / "ant" / "0.png", os.path.join(place, b"a.png"))
    what = r"picture '.*\\udcff/a.png'" if with_picture else r"class '\\udcff' in `path`='.*'"
    refused(tmp_path, rf"{what}: its name is not valid UTF-8; rename it\.")
