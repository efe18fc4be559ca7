"""Loaders say that a data directory is absent, unfinished, damaged or of other data, and write nothing."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from examples import data
from examples.data import by_hand, tfds_reader
from tests.examples.data.prepared import KEYS, LOADERS, examples, write_tfds

tfds = pytest.importorskip("tensorflow_datasets")

BIG = "downsampled_imagenet/32x32"


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    monkeypatch.setattr("socket.socket.connect", lambda *args: pytest.fail("uses the network"))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Two whole data sets; tests copy them."""
    directory = tmp_path_factory.mktemp("prepared")
    for key, test in (("cifar10", "test"), (BIG, "validation")):
        splits = {"train": list(examples(key, 60)), test: list(examples(key, 20))}
        write_tfds(key, directory, splits, num_shards=3)
    return directory


@pytest.fixture(params=["in memory", "streamed"])
def copied(request, prepared, tmp_path, monkeypatch):
    """A data directory, and the key and folder of a data set in it that is held in memory, or streamed."""
    key = "cifar10"
    if request.param == "streamed":
        key = BIG
        monkeypatch.setattr(tfds_reader, "_IN_MEMORY", 0)
    shutil.copytree(prepared / key.split("/")[0], tmp_path / key.split("/")[0])
    (folder,) = (tmp_path / key).glob("?.0.?")
    return tmp_path, key, folder


def contents(directory):
    return {p: p.read_bytes() if p.is_file() else None for p in directory.rglob("*")}


def refused(key, data_dir, error, message):
    """Returns the message of a loader that must fail, and write nothing."""
    before = contents(data_dir)
    with pytest.raises(error, match=message) as caught:
        LOADERS[key](data_dir)
    assert contents(data_dir) == before
    said = str(caught.value)
    assert len(said) < 900
    assert "\n" not in said
    return said


@pytest.mark.parametrize("key", KEYS)
def test_no_directory(key, tmp_path):
    said = refused(key, tmp_path / "typo", FileNotFoundError, r"`data_dir`='.*typo': no such directory; create it to")
    assert f"download {key} into it, or name the one that holds {key.split('/')[0]}/." in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("key", by_hand.FILES)
def test_nothing_there_of_a_set_fetched_by_hand(key, tmp_path):
    said = refused(key, tmp_path, FileNotFoundError, f"`{key}` can't be downloaded by tensorflow_datasets: put ")
    assert said == by_hand.instructions(key, tmp_path)
    assert not list(tmp_path.iterdir())


def test_failed_download(tmp_path, monkeypatch):
    def fail(self):
        raise ConnectionError("no route")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    message = r"`data_dir`='.*': no mnist in .*mnist.*the download failed \(ConnectionError: no route\)\. Connect"
    said = refused("mnist", tmp_path, RuntimeError, message)
    assert str(tmp_path) in said


@pytest.mark.parametrize("key", ["celeb_a", "cifar10"])
def test_tensorflow_datasets_that_cannot_be_imported(key, tmp_path, monkeypatch):
    monkeypatch.delattr(tfds, "builder")
    refused(key, tmp_path, ImportError, "`tensorflow_datasets` is installed but can't be used")


def no_info(folder):
    (folder / "dataset_info.json").unlink()


def empty_info(folder):
    (folder / "dataset_info.json").write_text("")


def interrupted(folder):
    return folder.rename(folder.parent / f"incomplete.ABCDEF_{folder.name}")


def shards(folder):
    return sorted(folder.glob("*-train.tfrecord-*"))


def no_records(folder):
    for file in folder.glob("*.tfrecord-*"):
        file.unlink()


def no_shard(folder):
    shards(folder)[1].unlink()


def half_a_shard(folder):
    content = shards(folder)[1].read_bytes()
    shards(folder)[1].write_bytes(content[: len(content) // 2])


def empty_shard(folder):
    shards(folder)[2].write_bytes(b"")


def no_first_record(folder):
    content = bytearray(shards(folder)[0].read_bytes())
    content[20] ^= 0xFF
    shards(folder)[0].write_bytes(content)


def other_format(folder):
    info = json.loads((folder / "dataset_info.json").read_text())
    (folder / "dataset_info.json").write_text(json.dumps(info | {"fileFormat": "array_record"}))
    for file in folder.glob("*.tfrecord-*"):
        file.rename(file.with_name(file.name.replace("tfrecord", "array_record")))


def no_split(folder):
    info = json.loads((folder / "dataset_info.json").read_text())
    (folder / "dataset_info.json").write_text(json.dumps(info | {"splits": info["splits"][:1]}))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (no_info, "not written to its end; unless another program is at it"),
        (empty_info, ""),
        (interrupted, "not written to its end; unless another program is at it"),
        (no_records, "3 files are missing, the first .*-train.tfrecord-00000-of-00003"),
        (no_shard, "1 files are missing, the first .*-train.tfrecord-00001-of-00003"),
        (half_a_shard, r"split 'train' has [\d,]+ bytes of [\d,]+"),
        (empty_shard, r"split 'train' has [\d,]+ bytes of [\d,]+"),
        (no_first_record, "split 'train.*' can't be read"),
        (no_split, r"it has the splits \['t[a-z]+'\], not \['t[a-z]+', '[a-z]+'\]"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_unfinished_or_damaged(damage, reason, copied):
    data_dir, key, folder = copied
    LOADERS[key](data_dir)
    folder = damage(folder) or folder
    said = refused(key, data_dir, ValueError, rf"`data_dir`: the data set in '.*' is unfinished or damaged .*{reason}")
    assert f"'{folder.parent if damage is empty_info else folder}'" in said
    assert "delete that folder and run again" in said


def test_other_file_format(copied):
    data_dir, key, folder = copied
    other_format(folder)
    said = refused(key, data_dir, ValueError, "holds array_record files: must be tfrecord, .*; prepare the data anew")
    assert str(folder) in said


def test_record_damaged_in_the_middle_of_a_set_in_memory(prepared, tmp_path):
    shutil.copytree(prepared / "cifar10", tmp_path / "cifar10")
    (folder,) = (tmp_path / "cifar10").glob("?.0.?")
    content = bytearray(shards(folder)[1].read_bytes())
    content[len(content) // 2] ^= 0xFF
    shards(folder)[1].write_bytes(content)
    said = refused("cifar10", tmp_path, ValueError, "split 'train' can't be read")
    assert str(folder) in said


def test_pictures_of_another_size(tmp_path):
    write_tfds(
        BIG, tmp_path, {split: list(examples("downsampled_imagenet/64x64", 5)) for split in ("train", "validation")}
    )
    said = refused(BIG, tmp_path, ValueError, r"begins with a picture of shape \(64, 64, 3\): must be \(32, 32, 3\)")
    assert BIG in said
    assert "name another --data_dir" in said


def test_too_few_pictures(tmp_path):
    splits = {"train": list(examples(BIG, 1)), "validation": list(examples(BIG, 2))}
    write_tfds(BIG, tmp_path, splits)
    refused(BIG, tmp_path, ValueError, "1 train images: must be at least 2")


def test_pictures_without_attributes(tmp_path):
    features = tfds.features.FeaturesDict({"image": tfds.features.Image(shape=(218, 178, 3))})
    pictures = [{"image": np.full((218, 178, 3), i, np.uint8)} for i in range(4)]
    write_tfds("celeb_a", tmp_path, dict.fromkeys(("train", "validation", "test"), pictures), features=features)
    with pytest.raises(ValueError, match=r"celeb_a.* is unfinished or damaged"):
        data.celeb_a(tmp_path, conditional=True)


@pytest.mark.parametrize(
    ("load", "message"),
    [
        (lambda: data.imagenet(48), "`size`=48: must be 32 or 64"),
        (lambda: data.lsun("cat"), "`category`='cat': must be one of bedroom, tower, church_outdoor"),
        (lambda: data.celeb_a(size=0), "`size`=0: must be an int of at least 1"),
    ],
)
def test_arguments(load, message):
    with pytest.raises(ValueError, match=message):
        load()


# These tests are of damage that is met while a run trains.


def spoil(path, share):
    content = bytearray(path.read_bytes())
    content[int(share * len(content))] ^= 0xFF
    path.write_bytes(content)


def test_damage_is_found(prepared, tmp_path, monkeypatch):
    monkeypatch.setattr(tfds_reader, "_IN_MEMORY", 0)
    shutil.copytree(prepared / BIG.split("/")[0], tmp_path / BIG.split("/")[0])
    found = data.imagenet(32, tmp_path)
    assert found.damage().endswith("a file could not be read, but now all can; run again.")
    (folder,) = (tmp_path / BIG).glob("?.0.?")
    path = shards(folder)[1]
    spoil(path, 0.9)
    with pytest.raises(tf.errors.DataLossError):
        list(data.train_batches(found.train, 8, seed=0, num_steps=8))
    assert found.damage().startswith(f"{path}: corrupted record at ")
    path.write_bytes(path.read_bytes()[:-9])
    spoil(path, 0.9)
    assert found.damage().startswith(f"{path}: truncated record at ") or "corrupted" in found.damage()
    path.unlink()
    assert str(path) in found.damage()
    assert "No such file" in found.damage()
