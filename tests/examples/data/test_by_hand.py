"""Data sets are prepared from archives that were fetched by hand; the tests make small archives."""

import errno
import shutil
import sys

import numpy as np
import pytest

from examples.data import by_hand
from tests.examples.data.archive_files import (
    IMAGENET,
    LSUN,
    PARTITION,
    POINTS,
    decoded,
    leftovers,
    load,
    pixels,
    write_celeb_a,
    write_imagenet,
    write_lsun,
)

tfds = pytest.importorskip("tensorflow_datasets")


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    monkeypatch.setattr("socket.socket.connect", lambda *args: pytest.fail("uses the network"))
    monkeypatch.setattr(tfds.core.utils.gcs_utils, "exists", lambda path: pytest.fail("asks the network"))


@pytest.mark.parametrize("size", [32, 64])
def test_imagenet(size, tmp_path, manual):
    write_imagenet(manual, size)
    name = f"downsampled_imagenet/{size}x{size}"
    by_hand.prepare(name, tmp_path)
    for split, numbers in (("train", range(5)), ("validation", range(5, 8))):
        found = {example["image"].tobytes() for example in load(name, tmp_path, split)}
        assert found == {pixels(number, size, size).tobytes() for number in numbers}
        assert (tmp_path / name / "2.0.0" / f"downsampled_imagenet-{split}.tfrecord-00000-of-00001").is_file()
    before = sorted(tmp_path.rglob("*"))
    shutil.rmtree(manual)
    by_hand.prepare(name, tmp_path)  # It finds what is prepared.
    assert sorted(tmp_path.rglob("*")) == [p for p in before if manual not in (p, *p.parents)]


def test_celeb_a(tmp_path, manual):
    pictures, headings, attributes, landmarks, identities = write_celeb_a(manual)
    by_hand.prepare("celeb_a", tmp_path)
    decode = tfds.features.Image().decode_example  # TensorFlow's JPEG differs a little from Pillow's
    for number, split in enumerate(("train", "validation", "test")):
        examples = {example["identity"]["Identity_No"]: example for example in load("celeb_a", tmp_path, split)}
        rows = [i for i, part in enumerate(PARTITION) if part == number]
        assert len(examples) == len(rows)
        for i in rows:
            example = examples[identities[i, 0]]
            np.testing.assert_array_equal(example["image"], decode(pictures[i]))
            assert example["attributes"] == dict(zip(headings, attributes[i] > 0, strict=True))
            assert example["landmarks"] == dict(zip(POINTS, landmarks[i], strict=True))


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_lsun(form, zipped, tmp_path, manual):
    splits = write_lsun(manual, form=form, zipped=zipped)
    by_hand.prepare(LSUN, tmp_path)
    for split, written in zip(("train", "validation"), splits, strict=True):
        examples = load(LSUN, tmp_path, split)
        assert {example["id"].decode() for example in examples} == set(written)
        for example in examples:
            data = written[example["id"].decode()]
            expected = tfds.features.Image().decode_example(data) if form == "JPEG" else decoded(data)
            np.testing.assert_array_equal(example["image"], expected)
    kept = sorted(p.name for p in manual.iterdir())
    assert kept == [f"church_outdoor_{split}_lmdb{'.zip' * zipped}" for split in ("train", "val")]


@pytest.mark.parametrize("name", by_hand.FILES)
def test_files_are_those_of_tfds(name, tmp_path):
    infos = {info.filename for info in tfds.builder(name, data_dir=tmp_path).url_infos.values()}
    assert set(by_hand.FILES[name]) <= infos


def test_missing_files(tmp_path, manual):
    assert by_hand.missing(LSUN, tmp_path) == by_hand.FILES[LSUN]
    write_lsun(manual, zipped=False)
    assert by_hand.missing(LSUN, tmp_path) == ()
    (manual / "church_outdoor_val_lmdb" / "data.mdb").unlink()
    assert by_hand.missing(LSUN, tmp_path) == ("church_outdoor_val_lmdb.zip",)
    with pytest.raises(FileNotFoundError) as caught:
        by_hand.prepare(LSUN, tmp_path)
    assert str(caught.value) == by_hand.instructions(LSUN, tmp_path)
    assert str(caught.value) == (
        "`lsun/church_outdoor` can't be downloaded by tensorflow_datasets: put church_outdoor_train_lmdb.zip, "
        f"church_outdoor_val_lmdb.zip into '{manual}' (missing: church_outdoor_val_lmdb.zip). They come from the "
        "LSUN page, yf.io/p/lsun; the folder *_lmdb that is in an archive does as well."
    )
    assert not (tmp_path / "lsun").exists()


def test_default_directory(monkeypatch, tmp_path):
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert f"'{tmp_path}/tensorflow_datasets/downloads/manual' (missing: train_32x32.tar," in by_hand.instructions(
        IMAGENET
    )
    monkeypatch.setenv("TFDS_DATA_DIR", "/elsewhere")
    assert "'/elsewhere/downloads/manual'" in by_hand.instructions(IMAGENET, None)


@pytest.mark.parametrize("function", [by_hand.instructions, by_hand.missing, by_hand.prepare])
def test_unknown_name(function, tmp_path):
    with pytest.raises(ValueError, match=r"`name`='lsun/cat': must be one of celeb_a, downsampled_imagenet/32x32"):
        function("lsun/cat", tmp_path)


def cut(path, keep):
    path.write_bytes(path.read_bytes()[:keep])


def keep_three_lines(path):
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:3]))


def flip(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 0xFF
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "file", "damage", "message"),
    [
        (IMAGENET, "train_32x32.tar", lambda path: path.write_text("<html>quota</html>"), "damaged or cut short"),
        (IMAGENET, "train_32x32.tar", lambda path: path.write_bytes(b""), "damaged or cut short"),
        (IMAGENET, "valid_32x32.tar", lambda path: cut(path, 512 * 8), "damaged or cut short"),
        (IMAGENET, "valid_32x32.tar", lambda path: flip(path, 512), "damaged: bad header at byte 512"),
        ("celeb_a", "img_align_celeba.zip", lambda path: cut(path, 100_000), "damaged or cut short"),
        ("celeb_a", "img_align_celeba.zip", lambda path: flip(path, 100_000), "damaged: Bad CRC"),
        ("celeb_a", "list_eval_partition.txt", lambda path: cut(path, 40), "damaged or cut short"),
        ("celeb_a", "list_attr_celeba.txt", keep_three_lines, r".*KeyError.*000002\.jpg"),
        ("celeb_a", "list_eval_partition.txt", keep_three_lines, ".*No examples"),
        (LSUN, "church_outdoor_val_lmdb.zip", lambda path: cut(path, 5_000), "damaged or cut short"),
        (LSUN, "church_outdoor_train_lmdb.zip", lambda path: flip(path, 9_000), "damaged: "),
        (LSUN, "church_outdoor_train_lmdb/data.mdb", lambda path: cut(path, 12_000), "damaged: data.mdb is cut short"),
        (LSUN, "church_outdoor_val_lmdb/data.mdb", lambda path: path.write_bytes(b"x" * 9000), "damaged: .*INVALID"),
    ],
)
def test_damaged_file(name, file, damage, message, tmp_path, manual):
    def write():
        if name == LSUN:
            write_lsun(manual, zipped=file.endswith("zip"))
        else:
            {IMAGENET: write_imagenet, "celeb_a": write_celeb_a}[name](manual)

    write()
    damage(manual / file)
    named = "" if message[0] == "." else f"{file.partition('/')[0].removesuffix('.zip')}(.zip)? is "
    with pytest.raises(ValueError, match=f"`{name}`: can't be prepared from '{manual}' .*{named}{message}.*; fetch"):
        by_hand.prepare(name, tmp_path)
    assert not leftovers(tmp_path)
    if name == LSUN:
        shutil.rmtree(manual)
        manual.mkdir()
    write()
    by_hand.prepare(name, tmp_path)
    assert len(load(name, tmp_path, "validation")) == (2 if name == "celeb_a" else 3)


@pytest.mark.parametrize("when", ["_read_lmdb", "_check_end"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_interrupted(error, when, tmp_path, manual, monkeypatch):
    write_lsun(manual)

    def fail(*args, **kwargs):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(by_hand, when, fail)
        message = rf"`{LSUN}`: can't be written to '{tmp_path}/{LSUN}' \(.*No space left.*\); make room"
        with pytest.raises(type(error), match=message if isinstance(error, OSError) else None):
            by_hand.prepare(LSUN, tmp_path)
    assert not leftovers(tmp_path)
    by_hand.prepare(LSUN, tmp_path)
    assert len(load(LSUN, tmp_path, "train")) == 6


def test_unfinished_result(tmp_path, manual):
    write_imagenet(manual)
    (tmp_path / IMAGENET / "2.0.0").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"`data_dir`: '.*2\.0\.0' is unfinished or damaged; delete that folder"):
        by_hand.prepare(IMAGENET, tmp_path)


def test_missing_package(tmp_path, manual, monkeypatch):
    write_lsun(manual)
    monkeypatch.setitem(sys.modules, "lmdb", None)
    with pytest.raises(ImportError, match=r"`lmdb` is needed for these data: pip install \"tfp_realnvp\[examples\]\""):
        by_hand.prepare(LSUN, tmp_path)
    assert not leftovers(tmp_path)
