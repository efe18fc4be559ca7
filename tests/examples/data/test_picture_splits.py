"""A picture's name alone selects its split, so that no other picture can move it."""

import re

import numpy as np
import pytest

from examples import data
from examples.data import picture_names
from tests.examples.data.pictures import NAMES, SPLITS, splits_of_plain, write_plain


@pytest.mark.parametrize("count", [3, 10, 70, 200])
def test_a_picture_that_is_added_moves_no_other(count, tmp_path):
    random = np.random.default_rng(count)
    names = [*NAMES, *(f"{'a/' * random.integers(3)}{random.integers(10**9)}.png" for _ in range(count - 3 + 50))]
    for number, name in enumerate(names[:count]):
        write_plain(tmp_path / name, number)
    before = splits_of_plain(data.folder(tmp_path, 2))
    assert len(before) == count
    joined = set()
    for number in range(count, len(names)):
        write_plain(tmp_path / names[number], number)
        after = splits_of_plain(data.folder(tmp_path, 2))
        assert len(after) == number + 1
        assert {n: after[n] for n in before} == before
        joined.add(after[number])
        before = after
    assert joined == set(SPLITS)


def test_a_name_has_the_same_split_for_ever():
    """Whoever changes the hash or a bound changes the test pictures of everybody's folders."""
    expected = {
        "0.png": "validation",
        "1.png": "train",
        "6.png": "test",
        "cat/13.jpg": "test",
        "0/6.png": "validation",
        "Übung/ä.webp": "train",
    }
    assert {name: picture_names.split_of(name) for name in expected} == expected


def test_shares_of_the_splits():
    splits = [picture_names.split_of(f"{i}.jpg") for i in range(20_000)]
    shares = [splits.count(split) / len(splits) for split in SPLITS]
    np.testing.assert_allclose(shares, [0.9, 0.05, 0.05], atol=0.006)  # four standard deviations


def test_words_of_the_splits_stay_as_pictures_are_added(tmp_path):
    for number, name in enumerate(NAMES):
        write_plain(tmp_path / name, number)
    images = data.folder(tmp_path, 2)
    assert images.name == f"folder {tmp_path.name}, 3 pictures at 2x2"
    assert images.splits == {
        "train": "the rest",
        "validation": "the next 5 % of the hashes that names can have",
        "test": "the first 5 % of the hashes that names can have",
    }
    write_plain(tmp_path / "more.png", 3)
    more = data.folder(tmp_path, 2)
    assert more.splits == images.splits
    assert more.name == f"folder {tmp_path.name}, 4 pictures at 2x2"


@pytest.mark.parametrize(
    ("names", "empty"),
    [
        (["a.png", "b.png", "c.png"], "validation or test"),
        (["sub/a.tar.png", "sub/b.png", "sub/c.png"], "validation or test"),
        (["0.png", "a.png", "b.png", "c.png"], "test"),
        (["6.png", "a.png", "b.png"], "validation"),
        (["a5.png", "d9.png", "c5.png"], "train"),
        (["a5.png", "d9.png", "e9.png"], "train or test"),
    ],
)
def test_an_empty_split_is_refused_and_the_remedy_helps(names, empty, tmp_path):
    for number, name in enumerate(names):
        write_plain(tmp_path / name, number)
    message = rf"`path`='.*': none of its {len(names)} pictures is for {empty}: each split must have one, .* rename '"
    with pytest.raises(ValueError, match=message) as caught:
        data.folder(tmp_path, 2)
    renamed = re.findall(r"'(\S+)' to '(\S+)'", str(caught.value))
    assert len(renamed) == 1 + empty.count(" or ")
    for old, new in renamed:
        (tmp_path / old).rename(tmp_path / new)
    assert len(splits_of_plain(data.folder(tmp_path, 2))) == len(names)
