"""The loaders read data sets of tensorflow_datasets, here small ones under the real names, each in several files."""

import importlib

import numpy as np
import pytest

from examples import data
from examples.data import tfds_reader
from tests.examples.data.prepared import KEYS, LOADERS, examples, write_tfds

tfds = pytest.importorskip("tensorflow_datasets")

ATTRIBUTES = ("5_o_Clock_Shadow", "Arched_Eyebrows", "Wearing_Necktie", "Young")  # the first and the last two of 40
COUNTS = {
    **{key: {"train": 43, "test": 12} for key in ("cifar10", "cifar100", "mnist")},
    "celeb_a": {"train": 21, "validation": 5, "test": 7},
    **{f"downsampled_imagenet/{n}x{n}": {"train": 45, "validation": 11} for n in (32, 64)},
    **{f"lsun/{name}": {"train": 23, "validation": 6} for name in ("bedroom", "church_outdoor", "tower")},
}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tfds")
    for key in KEYS:
        splits = {split: list(examples(key, count)) for split, count in COUNTS[key].items()}
        write_tfds(key, directory, splits, num_shards=4)
    return directory


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    monkeypatch.setattr("socket.socket.connect", lambda *args: pytest.fail("uses the network"))


def stored(key, split, data_dir):
    """The examples as TFDS itself decodes them, in the order of the files."""
    order = tfds.ReadConfig(interleave_cycle_length=1)
    return list(tfds.as_numpy(tfds.load(key, split=split, data_dir=data_dir, download=False, read_config=order)))


def everything(images, batch_size=7):
    batches = list(data.eval_batches(images, batch_size).as_numpy_iterator())
    if isinstance(batches[0], tuple):
        return tuple(np.concatenate(column) for column in zip(*batches, strict=True))
    return np.concatenate(batches)


@pytest.mark.parametrize("key", KEYS)
def test_what_a_loader_says(key, data_dir):
    images, counts = LOADERS[key](data_dir), COUNTS[key]
    held_out = 0 if key == "celeb_a" else max(1, counts["train"] // 20)
    assert len(images.train) == counts["train"] - held_out
    assert len(images.validation) == (held_out or counts["validation"])
    assert len(images.test) == counts.get("test", counts.get("validation"))
    test = "test" if "test" in counts else "validation"
    train = counts["train"] - held_out
    assert images.splits == (
        {"train": f"train[:{train}]", "validation": f"train[{train}:]", "test": test}
        if held_out
        else {"train": "train", "validation": "validation", "test": "test"}
    )
    side = 32 if key.startswith(("cifar", "mnist")) or key.endswith("32x32") else 64
    assert images.image_shape == (side, side, 1 if key == "mnist" else 3)
    assert (images.key, images.levels, images.whole, images.conditioning_names) == (key, 256, True, ())
    version = tfds.builder(key, data_dir=data_dir).version
    assert images.name.startswith(
        f"{key} {version} (TFDS): PART OR STAND-IN, {counts['train']} train images instead of "
    )
    assert f"{counts[test]} {test} images instead of " in images.name
    assert not images.genuine
    assert (images.preprocessing == "none") == key.startswith(("cifar", "downsampled"))
    assert isinstance(images.train, data.RecordImages) == key.startswith("lsun")


@pytest.mark.parametrize(
    "key", ["cifar10", "cifar100", "mnist", "downsampled_imagenet/32x32", "downsampled_imagenet/64x64"]
)
def test_images_are_those_of_the_records(key, data_dir):
    images = LOADERS[key](data_dir)
    for split, words in images.splits.items():
        expected = np.stack([row["image"] for row in stored(key, words, data_dir)])
        if key == "mnist":
            expected = np.pad(expected, ((0, 0), (2, 2), (2, 2), (0, 0)))
        np.testing.assert_array_equal(everything(getattr(images, split)), expected)
    # Those are the ones that were written, and none is there twice.
    whole = np.concatenate([getattr(images, split).pixels for split in images.splits])
    assert len({image.tobytes() for image in whole}) == sum(COUNTS[key].values())


@pytest.mark.parametrize("key", ["cifar10", "cifar100", "mnist"])
def test_classes(key, data_dir):
    images, plain = LOADERS[key](data_dir, conditional=True), LOADERS[key](data_dir)
    size = 100 if key == "cifar100" else 10
    assert len(images.conditioning_names) == size
    for split, words in images.splits.items():
        pixels, vectors = everything(getattr(images, split))
        rows = stored(key, words, data_dir)
        np.testing.assert_array_equal(vectors, np.eye(size)[[row["label"] for row in rows]])
        np.testing.assert_array_equal(pixels, everything(getattr(plain, split)))


@pytest.mark.parametrize("options", [{}, {"rounded": False}, {"size": 32}], ids=str)
def test_attributes(options, data_dir):
    images = data.celeb_a(data_dir, conditional=True, **options)
    assert len(images.conditioning_names) == 40
    assert images.conditioning_names[:2] + images.conditioning_names[-2:] == ATTRIBUTES
    for split, words in images.splits.items():
        pixels, vectors = everything(getattr(images, split))
        assert pixels.dtype == (np.float32 if options == {"rounded": False} else np.uint8)
        rows = stored("celeb_a", words, data_dir)
        expected = [[row["attributes"][name] for name in images.conditioning_names] for row in rows]
        np.testing.assert_array_equal(vectors, np.array(expected, np.float32))
        assert vectors.dtype == np.float32
        assert 0.3 < vectors.mean() < 0.7


def test_unrounded_celeb_a(data_dir):
    """The noise of an evaluation is always the same; that of training differs from epoch to epoch."""
    images, rounded = data.celeb_a(data_dir, rounded=False), data.celeb_a(data_dir)
    assert not images.whole
    assert images.preprocessing.endswith("not rounded; noise added")
    assert rounded.preprocessing.endswith("rounded to 8 bits")
    assert images.name == rounded.name
    pixels = everything(images.train)
    np.testing.assert_array_equal(pixels, everything(images.train, 3))
    assert pixels.dtype == np.float32
    assert pixels.min() >= 0
    assert pixels.max() < 256
    # Rounding to the nearest and noise of [0, 1) together differ by -1/2 to 3/2.
    difference = pixels - everything(rounded.train).astype(float)
    assert -0.5 <= difference.min() < -0.4
    assert 1.4 < difference.max() <= 1.5
    assert abs(difference.mean() - 0.5) < 0.01
    epochs = np.stack(list(data.train_batches(images.train, 21, seed=0, num_steps=2).as_numpy_iterator()))
    assert (np.sort(epochs.reshape(2, -1), 1)[0] != np.sort(epochs.reshape(2, -1), 1)[1]).mean() > 0.9


# These tests are of how loaders tell which data these are.


def test_all_images_are_told_from_a_part(data_dir):
    whole = tfds_reader.DataSet("cifar10", (32, 32, 3), (32, 32, 3), COUNTS["cifar10"])
    images = tfds_reader.load(whole, data_dir, False)
    assert images.genuine
    assert images.name == f"cifar10 {tfds.builder('cifar10').version} (TFDS)"


OLD = {"train": 1_281_149, "validation": 49_999}


@pytest.mark.parametrize(
    ("counts", "genuine", "remark"),
    [
        (OLD, True, ": the old set (van den Oord et al. 2016)"),
        (OLD | {"validation": 50_000}, True, ": the old set (van den Oord et al. 2016)"),
        (
            {"train": 1_281_167, "validation": 50_000},
            False,
            ": NOT the paper's: the anti-aliased set (Chrabaszcz et al. 2017)",
        ),
        (
            OLD | {"train": 2000},
            False,
            ": PART OR STAND-IN, 2,000 train images instead of 1,281,149",
        ),
        (OLD | {"train": 1_281_167}, False, ": PART OR STAND-IN, 1,281,167 train images instead of 1,281,149"),
    ],
)
@pytest.mark.parametrize("size", [32, 64])
def test_which_imagenet(counts, genuine, remark, size, monkeypatch):
    monkeypatch.setattr("examples.data.tfds_sets.load", lambda data_set, *_: data_set)
    data_set = data.imagenet(size)
    assert tfds_reader._is_genuine(data_set, counts) == genuine
    assert tfds_reader._remark(data_set, counts) == remark


def test_another_set_of_fifty_thousand_is_not_genuine(monkeypatch):
    monkeypatch.setattr("examples.data.tfds_sets.load", lambda data_set, *_: data_set)
    assert not tfds_reader._is_genuine(data.lsun("tower"), {"train": 708_264, "validation": 50_000})
    assert tfds_reader._is_genuine(data.lsun("tower"), {"train": 708_264, "validation": 300})


@pytest.mark.parametrize(
    ("train", "held_out"), [(2, 1), (39, 1), (40, 2), (8_000, 400), (40_000, 2000), (50_000, 2000)]
)
def test_held_out(train, held_out):
    kept = train - held_out
    ours = {"train": f"train[:{kept}]", "validation": f"train[{kept}:]"}
    assert tfds_reader._splits({"train": train, "test": 9}) == {**ours, "test": "test"}
    assert tfds_reader._splits({"train": train, "validation": 9}) == {**ours, "test": "validation"}
    all_three = tfds_reader._splits({"train": train, "validation": 9, "test": 9})
    assert all_three == {split: split for split in ("train", "validation", "test")}


# These tests are of images in memory and from files.


@pytest.mark.parametrize(
    ("key", "conditional"),
    [("cifar10", False), ("mnist", True), ("celeb_a", True), ("downsampled_imagenet/32x32", False)],
)
def test_streamed_images_are_the_same(key, conditional, data_dir, monkeypatch):
    held = LOADERS[key](data_dir, conditional=conditional)
    monkeypatch.setattr(tfds_reader, "_IN_MEMORY", 0)
    streamed = LOADERS[key](data_dir, conditional=conditional)
    assert (streamed.name, streamed.splits) == (held.name, held.splits)
    for split in held.splits:
        ours, theirs = getattr(streamed, split), getattr(held, split)
        assert isinstance(ours, data.RecordImages)
        assert isinstance(theirs, data.ArrayImages)
        assert (ours.shape, ours.dtype, ours.conditioning_size) == (
            theirs.shape,
            theirs.dtype,
            theirs.conditioning_size,
        )
        found, expected = everything(ours), everything(theirs)
        for column in range(2) if conditional else [...]:
            np.testing.assert_array_equal(found[column], expected[column])


@pytest.mark.parametrize("key", ["downsampled_imagenet/32x32", "lsun/tower"])
def test_streamed_epochs(key, data_dir, monkeypatch):
    """Every epoch shows every image once, wherever training resumes."""
    monkeypatch.setattr(tfds_reader, "_IN_MEMORY", 0)
    images = LOADERS[key](data_dir).train
    steps = -(-2 * len(images) // 8)
    whole = np.stack(list(data.train_batches(images, 8, seed=1, num_steps=steps).as_numpy_iterator()))
    rest = np.stack(list(data.train_batches(images, 8, seed=1, start_step=4, num_steps=steps - 4).as_numpy_iterator()))
    np.testing.assert_array_equal(rest, whole[4:])
    if "imagenet" in key:
        flat = whole.reshape(-1, 32 * 32 * 3)
        expected = {image.tobytes() for image in everything(images)}
        for epoch in range(2):
            drawn = [image.tobytes() for image in flat[epoch * len(images) : (epoch + 1) * len(images)]]
            assert len(drawn) == len(expected)
            assert set(drawn) == expected


def test_which_splits_are_held_in_memory(data_dir, monkeypatch):
    """A split at the limit still is; random crops never are."""
    monkeypatch.setattr(tfds_reader, "_IN_MEMORY", 12 * 32 * 32 * 3)
    images = data.cifar10(data_dir)
    assert [type(getattr(images, split)).__name__ for split in images.splits] == [
        "RecordImages",
        "ArrayImages",
        "ArrayImages",
    ]


def test_lsun_crops(data_dir):
    images = data.lsun("tower", data_dir)
    assert images.preprocessing == "short side to 96 (Gaussian, then linear), random 64x64 crop"
    first, again = everything(images.test), everything(images.test, 4)
    np.testing.assert_array_equal(first, again)
    assert first.shape == (6, 64, 64, 3)
    reduce = importlib.import_module("examples.data.preprocessing").reduce_short_side
    for crop, row in zip(first, stored("lsun/tower", "validation", data_dir), strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(reduce(row["image"], 96).numpy(), (64, 64, 3))
        assert (windows[..., 0, 0, 0] == crop[0, 0, 0]).any()
        assert (windows.reshape(-1, 64, 64, 3)[:, ::9, ::9] == crop[::9, ::9]).all((1, 2, 3)).sum() == 1
