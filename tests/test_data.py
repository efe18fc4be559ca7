"""Loaders and batches of the training programs."""

import importlib
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from examples import data
from examples.data import picture_folder

TFDS = pathlib.Path(__file__).resolve().parents[2] / "shared" / "data" / "tfds"
PREPARED = TFDS / "cifar10" / "3.0.2"
needs_cifar10 = pytest.mark.skipif(not PREPARED.is_dir(), reason=f"no CIFAR-10 in {PREPARED}")

Image = pytest.importorskip("PIL.Image")


def numbered(count, height=2, width=3):
    """Images that carry their number, and differ from their mirror image."""
    images = np.zeros((count, height, width, 2), np.uint8)
    images[..., 0] = np.arange(count)[:, None, None]
    images[..., 1] = np.arange(width)
    return images


def stream(*args, **kwargs):
    return np.stack(list(data.train_batches(*args, **kwargs).as_numpy_iterator()))


def three_splits(**changes):
    return {split: numbered(4) for split in ("train", "validation", "test")} | changes


def in_words():
    return dict.fromkeys(("train", "validation", "test"), "all")


# Batches.


def test_batches_have_static_shape_and_no_end():
    batches = data.train_batches(numbered(5), 2, seed=0)
    assert batches.element_spec == tf.TensorSpec([2, 2, 3, 2], tf.uint8)
    assert batches.cardinality() == tf.data.INFINITE_CARDINALITY
    assert data.train_batches(numbered(5), 2, seed=0, num_steps=7).cardinality() == 7


def test_same_seed_same_batches():
    first, again, other = (stream(numbered(50), 8, seed=s, num_steps=12, flip=True) for s in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (first[..., 0] != other[..., 0]).mean() > 0.9


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("start", [1, 4, 5, 9])
def test_resumes_where_it_stopped(start, flip):
    images = numbered(11)  # 11 and 3 share no factor: epochs end inside batches 3, 7 and 11
    whole = stream(images, 3, seed=5, num_steps=14, flip=flip)
    rest = stream(images, 3, seed=5, num_steps=14 - start, start_step=start, flip=flip)
    np.testing.assert_array_equal(rest, whole[start:])


@pytest.mark.parametrize(("count", "size"), [(1, 1), (2, 1), (7, 7), (12, 5), (200, 33)])
def test_every_epoch_is_a_permutation(count, size):
    epochs = 4
    numbers = stream(numbered(count), size, seed=0, num_steps=-(-epochs * count // size))[..., 0, 0, 0].ravel()
    orders = numbers[: epochs * count].reshape(epochs, count)
    np.testing.assert_array_equal(np.sort(orders, axis=1), np.tile(np.arange(count), (epochs, 1)))
    if count > 6:
        assert len({tuple(order) for order in orders}) == epochs


def test_orders_of_epochs_are_unrelated():
    """With too few rounds the orders of two epochs correlate: 0.7 at this size."""
    count, epochs = 48_000, 4
    images = np.zeros((count, 1, 1, 2), np.uint8)
    images[:, 0, 0, 0], images[:, 0, 0, 1] = np.arange(count) % 256, np.arange(count) // 256
    drawn = stream(images, 4000, seed=3, num_steps=epochs * count // 4000).reshape(epochs, count, 2).astype(int)
    orders = drawn[..., 0] + 256 * drawn[..., 1]
    correlations = np.corrcoef(np.vstack([orders, np.arange(count)]))[np.triu_indices(epochs + 1, 1)]
    assert np.abs(correlations).max() < 5 / np.sqrt(count)  # five standard deviations


def test_flips_are_flips():
    images = numbered(40)
    plain, flipped = (stream(images, 10, seed=1, num_steps=40, flip=flip).reshape(400, 2, 3, 2) for flip in (0, 1))
    mirrored = (flipped != plain).any(axis=(1, 2, 3))
    np.testing.assert_array_equal(flipped[mirrored], plain[mirrored][:, :, ::-1])
    assert 150 < mirrored.sum() < 250  # 200 expected, standard deviation 10
    # The flips of an image change from epoch to epoch.
    by_image = mirrored[np.argsort(plain[:, 0, 0, 0], kind="stable")].reshape(40, 10)
    assert ((by_image.sum(1) > 0) & (by_image.sum(1) < 10)).sum() > 35


def test_batches_through_a_strategy():
    """A dataset that is distributed is serialised first."""
    batches = data.train_batches(numbered(9), 4, seed=2, flip=True)
    distributed = next(iter(tf.distribute.OneDeviceStrategy("CPU:0").experimental_distribute_dataset(batches)))
    np.testing.assert_array_equal(distributed, next(iter(batches)))


def test_eval_batches_keep_the_order():
    batches = list(data.eval_batches(numbered(10), 4).as_numpy_iterator())
    assert [len(batch) for batch in batches] == [4, 4, 2]
    np.testing.assert_array_equal(np.concatenate(batches), numbered(10))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": numbered(5) / 1.0}, r"`images` is float64 \(5, 2, 3, 2\): must be a uint8 array \[N, H, W, C\]"),
        ({"images": numbered(5)[0]}, r"`images` is uint8 \(2, 3, 2\)"),
        ({"images": [1]}, "`images` is list"),
        ({"batch_size": 0}, "`batch_size`=0: must be an int of at least 1, the images of a batch"),
        ({"batch_size": 6}, "`batch_size`=6: must be at most the number of images, 5; lower it"),
        ({"seed": -1}, "`seed`=-1: must be an int of at least 0"),
        ({"seed": 0.5}, "`seed`=0.5: must be an int"),
        ({"start_step": -1}, "`start_step`=-1: must be an int of at least 0"),
        ({"num_steps": 0}, "`num_steps`=0: must be an int of at least 1"),
    ],
)
def test_batch_errors(changes, message):
    with pytest.raises(ValueError, match=message):
        data.train_batches(**{"images": numbered(5), "batch_size": 2, "seed": 0, **changes})


def test_eval_batch_errors():
    with pytest.raises(ValueError, match="`batch_size`=True"):
        data.eval_batches(numbered(5), True)
    with pytest.raises(ValueError, match="`images` is"):
        data.eval_batches(numbered(0), 1)


# ImageData.


def test_image_data():
    images = data.ImageData(name="x", **three_splits(), levels=4, splits=in_words())
    assert images.image_shape == (2, 3, 2)
    assert len(repr(images)) < 200


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"levels": 1}, r"`levels`=1: must be an int in \[2, 256\]"),
        ({"levels": 3}, "`train` holds 3: must be below `levels`=3"),
        ({"splits": {"train": "all"}}, "`splits`={'train': 'all'}: must say in words what each of"),
        ({"test": numbered(4, width=2)}, r"`test` holds images of shape \(2, 2, 2\), `train` \(2, 3, 2\): resize"),
        ({"validation": numbered(0)}, r"`validation` is uint8 \(0, 2, 3, 2\): must be a uint8 array"),
    ],
)
def test_image_data_errors(changes, message):
    with pytest.raises(ValueError, match=message):
        data.ImageData(**{"name": "x", **three_splits(), "levels": 4, "splits": in_words(), **changes})


# Loaders that need no files.


def test_importing_needs_no_loader_package():
    missing = ("PIL", "sklearn", "tensorflow_datasets", "tqdm")
    code = f"import sys; sys.modules.update(dict.fromkeys({missing})); import examples.data"
    subprocess.run([sys.executable, "-c", code], cwd=pathlib.Path(data.__file__).parents[2], check=True)


@pytest.mark.parametrize("loader", ["digits", "photo_patches", "cifar10", "folder"])
def test_missing_package(loader, monkeypatch, tmp_path):
    def fail(module):
        raise ImportError(module)

    for name in "abc":
        (tmp_path / f"{name}.png").touch()
    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(ImportError, match=r"is needed for these data: pip install \"tfp_realnvp\[examples\]\""):
        getattr(data, loader)(*([tmp_path, 8] if loader == "folder" else []))


def test_digits():
    datasets = pytest.importorskip("sklearn.datasets")
    images = data.digits()
    assert (len(images.train), len(images.validation), len(images.test)) == (1397, 200, 200)
    assert images.image_shape == (8, 8, 1)
    assert images.levels == 17
    assert images.train.max() == 16
    together = np.concatenate([images.train, images.validation, images.test]).reshape(1797, 64)
    original = datasets.load_digits().data.astype(np.uint8)
    np.testing.assert_array_equal(together[np.lexsort(together.T)], original[np.lexsort(original.T)])
    np.testing.assert_array_equal(images.test, data.digits().test)
    assert images.name.startswith("digits (scikit-learn ")


def test_photo_patches_are_crops_of_the_photographs():
    datasets = pytest.importorskip("sklearn.datasets")
    images = data.photo_patches()
    assert (len(images.train), len(images.validation), len(images.test)) == (21186, 1782, 1782)
    assert images.image_shape == (32, 32, 3)
    np.testing.assert_array_equal(images.test, data.photo_patches().test)
    photos = {datasets.load_sample_image(name).tobytes() for name in ("china.jpg", "flower.jpg")}
    rows = {crop[0].tobytes() for crop in images.test[:20]}
    assert all(any(row in photo for photo in photos) for row in rows)


@pytest.mark.parametrize("options", [{"stride": 16}, {"size": 16, "stride": 5}, {"size": 64, "stride": 32}])
def test_photo_patches_share_no_pixel(options, monkeypatch):
    """On photographs whose pixels spell out where they are, the splits have no pixel in common."""
    datasets = pytest.importorskip("sklearn.datasets")
    places = np.arange(2 * 427 * 640).reshape(2, 427, 640)
    photos = np.stack([places >> 16, places >> 8 & 255, places & 255], -1).astype(np.uint8)
    monkeypatch.setattr(datasets, "load_sample_image", lambda name: photos[["china", "flower"].index(name[:-4])])
    images = data.photo_patches(**options)
    seen = {}
    for split in ("train", "validation", "test"):
        crops = getattr(images, split).astype(int)
        decoded = (crops[..., 0] << 16) + (crops[..., 1] << 8) + crops[..., 2]
        side = crops.shape[1]
        # Every crop is one piece of one photograph.
        offsets = np.arange(side)[:, None] * 640 + np.arange(side)
        np.testing.assert_array_equal(decoded - decoded[:, :1, :1], np.broadcast_to(offsets, decoded.shape))
        assert len(np.unique(decoded[:, 0, 0])) == len(decoded)  # no crop twice
        seen[split] = np.unique(decoded)
        assert set(seen[split] // (427 * 640)) == {0, 1}
    assert len(np.unique(np.concatenate(list(seen.values())))) == sum(map(len, seen.values()))
    assert len(seen["train"]) > 0.7 * places.size


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 65}, "`size`=65: must be at most 64, the width of the strips"),
        ({"size": 0}, "`size`=0: must be an int of at least 1, the side of a crop in pixels"),
        ({"stride": 0}, "`stride`=0: must be an int of at least 1, the pixels from one crop to the next"),
    ],
)
def test_photo_patches_errors(options, message):
    with pytest.raises(ValueError, match=message):
        data.photo_patches(**options)


# CIFAR-10.


@pytest.fixture(scope="module")
def cifar10():
    pytest.importorskip("tensorflow_datasets")
    return data.cifar10(TFDS)


@needs_cifar10
def test_cifar10(cifar10):
    assert (len(cifar10.train), len(cifar10.validation), len(cifar10.test)) == (48_000, 2_000, 10_000)
    assert cifar10.image_shape == (32, 32, 3)
    assert cifar10.levels == 256
    assert cifar10.name == "cifar10 3.0.2 (TFDS)"
    assert cifar10.splits == {"train": "train[:48000]", "validation": "train[48000:]", "test": "test"}


@needs_cifar10
def test_cifar10_order_is_that_of_the_records(cifar10):
    tfds = importlib.import_module("tensorflow_datasets")
    for name, split in (("train", "train[:20]"), ("validation", "train[48000:48020]"), ("test", "test[:20]")):
        records = tfds.as_numpy(tfds.load("cifar10", split=split, data_dir=TFDS, download=False))
        np.testing.assert_array_equal(getattr(cifar10, name)[:20], [record["image"] for record in records])


@needs_cifar10
def test_cifar10_splits_are_stable(cifar10):
    """Pixel sums, so that a new version of a package can't exchange images between splits unseen."""
    assert [int(getattr(cifar10, s)[0].sum()) for s in ("train", "validation", "test")] == [447224, 386572, 434684]


def test_cifar10_directory_must_exist(tmp_path):
    pytest.importorskip("tensorflow_datasets")
    with pytest.raises(FileNotFoundError, match=r"`data_dir`='.*typo': no such directory; create it to download"):
        data.cifar10(tmp_path / "typo")
    assert not list(tmp_path.iterdir())


def test_cifar10_failed_download(tmp_path, monkeypatch):
    tfds = pytest.importorskip("tensorflow_datasets")

    def fail(self):
        raise ConnectionError("no route")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    message = r"`data_dir`='.*': no CIFAR-10 in .*cifar10.*the download failed \(ConnectionError: no route\). Connect"
    with pytest.raises(RuntimeError, match=message) as caught:
        data.cifar10(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert isinstance(caught.value.__cause__, ConnectionError)


@needs_cifar10
@pytest.mark.parametrize("damage", ["no info", "empty info", "interrupted", "no records", "half the records"])
def test_cifar10_unfinished(damage, tmp_path, monkeypatch):
    tfds = pytest.importorskip("tensorflow_datasets")
    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", lambda self: pytest.fail("downloads"))
    target = tmp_path / "cifar10" / "3.0.2"
    target.mkdir(parents=True)
    for file in PREPARED.iterdir():
        if file.suffix in (".json", ".txt"):
            shutil.copyfile(file, target / file.name)
    where = target
    if damage == "no info":
        (target / "dataset_info.json").unlink()
    elif damage == "empty info":
        (target / "dataset_info.json").write_text("")
        where = tmp_path / "cifar10"
    elif damage == "interrupted":
        where = target.rename(target.parent / "incomplete.ABCDEF_3.0.2")
    elif damage == "half the records":
        with (PREPARED / "cifar10-train.tfrecord-00000-of-00001").open("rb") as records:
            (target / "cifar10-train.tfrecord-00000-of-00001").write_bytes(records.read(5_000_000))
    with pytest.raises(
        ValueError, match=r"`data_dir`: its CIFAR-10 in '.*' is unfinished or damaged .*: delete"
    ) as caught:
        data.cifar10(tmp_path)
    assert f"'{where}'" in str(caught.value)


# Folders of pictures.


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
    held = {split: unique_pixels(getattr(images, split)) for split in ("train", "validation", "test")}
    assert sum(map(len, held.values())) == 60 == len(set.union(*held.values()))
    assert all(1 <= len(held[split]) <= 9 for split in ("validation", "test"))
    assert images.levels == 256
    assert images.name == f"folder {tmp_path.name}, 60 pictures at 8x8"

    again = data.folder(str(tmp_path), 8)
    np.testing.assert_array_equal(again.train, images.train)
    for i in range(60, 80):
        write_picture(tmp_path / f"{i}.png", (9, 8), seed=i)
    more = data.folder(tmp_path, 8)
    for split, before in held.items():
        assert before <= unique_pixels(getattr(more, split))
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
    (found,) = (image for image in np.concatenate([images.train, images.validation, images.test]) if image.any())
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
    everything = np.concatenate([images.train, images.validation, images.test])
    assert len(everything) == 7
    found = unique_pixels(everything)
    assert np.repeat(grey[..., :1], 3, -1).tobytes() in found
    assert alpha[..., :3].tobytes() in found
    plain = [image for image in everything if np.abs(image.astype(int) - (200, 100, 50)).max() < 8]
    assert len(plain) == 5


def test_folder_turns_pictures_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # Orientation: to be shown turned a quarter clockwise
    for i in range(3):
        pixels = np.zeros((8, 8, 3), np.uint8)
        pixels[:4] = 255  # stored: top is white
        Image.fromarray(pixels).save(tmp_path / f"{i}.png", exif=exif)
    shown = data.folder(tmp_path, 8).train[0]
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
