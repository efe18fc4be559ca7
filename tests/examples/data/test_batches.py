"""The number of a step determines its batch, for images in memory and for images in files."""

import numpy as np
import pytest
import tensorflow as tf

from examples import data
from examples.data import record_images as records_lib
from tests.examples.data.prepared import numbered, numbers, record_images

KINDS = ["array", "records"]


@pytest.fixture
def make(request, tmp_path):
    """From pixels, and perhaps conditioning, to `Images` of the kind that a test names."""

    def build(pixels, conditioning=None, num_files=3):
        if request.param == "array":
            return data.ArrayImages(pixels, conditioning)
        return record_images(tmp_path, pixels, conditioning, num_files=num_files)

    return build


both = pytest.mark.parametrize("make", KINDS, indirect=True)


def stream(*args, **kwargs):
    return np.stack(list(data.train_batches(*args, **kwargs).as_numpy_iterator()))


@both
def test_batches_have_static_shape_and_no_end(make):
    images = make(numbered(5))
    batches = data.train_batches(images, 2, seed=0)
    assert batches.element_spec == tf.TensorSpec([2, 2, 3, 3], tf.uint8)
    assert batches.cardinality() == tf.data.INFINITE_CARDINALITY
    assert data.train_batches(images, 2, seed=0, num_steps=7).cardinality() == 7
    assert len(stream(images, 2, seed=0, num_steps=7)) == 7


@both
def test_same_seed_same_batches(make):
    images = make(numbered(50))
    first, again, other = (stream(images, 8, seed=s, num_steps=12, flip=True) for s in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (first[..., 0] != other[..., 0]).mean() > 0.9


@both
def test_the_global_seed_has_no_say(make):
    images, found = make(numbered(40)), []
    for seed in (1, 2):
        tf.random.set_seed(seed)
        found.append(stream(images, 8, seed=3, num_steps=12, flip=True))
    np.testing.assert_array_equal(*found)


@both
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("start", [1, 4, 9])
def test_resumes_where_it_stopped(start, flip, make):
    images = make(numbered(11))  # 11 and 3 share no factor: epochs end inside batches 3, 7 and 11
    whole = stream(images, 3, seed=5, num_steps=14, flip=flip)
    rest = stream(images, 3, seed=5, num_steps=14 - start, start_step=start, flip=flip)
    np.testing.assert_array_equal(rest, whole[start:])


def test_random_crops_resume(tmp_path):
    images = record_images(tmp_path, numbered(11, 2, 200), crop=2)
    whole = stream(images, 3, seed=5, num_steps=14, flip=True)
    np.testing.assert_array_equal(stream(images, 3, seed=5, num_steps=9, start_step=5, flip=True), whole[5:])
    left = whole[..., 0, :, 2].min(-1).reshape(-1)[:33]  # of three epochs
    assert len(set(left)) > 20
    again = np.stack(
        [
            left[np.argsort(epoch)]
            for left, epoch in zip(left.reshape(3, 11), numbers(whole).reshape(-1)[:33].reshape(3, 11), strict=True)
        ]
    )
    assert (again[0] != again[1]).sum() > 7  # the crop of an image changes from epoch to epoch


@both
@pytest.mark.parametrize(("count", "size"), [(1, 1), (2, 1), (7, 7), (12, 5), (200, 33)])
def test_every_epoch_is_a_permutation(count, size, make):
    epochs = 4
    assert_permutations(make(numbered(count)), size, epochs)


@pytest.mark.parametrize("window", [1, 7, 64])
@pytest.mark.parametrize("num_files", [1, 5, 23])
def test_windows_and_files_smaller_than_the_split(window, num_files, tmp_path, monkeypatch):
    monkeypatch.setattr(records_lib, "_WINDOW", window)
    images = record_images(tmp_path, numbered(60), num_files=num_files)
    if window > 1:
        assert_permutations(images, 8, 3)
    whole = stream(images, 8, seed=0, num_steps=23)
    np.testing.assert_array_equal(stream(images, 8, seed=0, start_step=11, num_steps=12), whole[11:])


def assert_permutations(images, size, epochs):
    count = len(images)
    drawn = numbers(stream(images, size, seed=0, num_steps=-(-epochs * count // size))).ravel()
    orders = drawn[: epochs * count].reshape(epochs, count)
    np.testing.assert_array_equal(np.sort(orders, axis=1), np.tile(np.arange(count), (epochs, 1)))
    if count > 6:
        assert len({tuple(order) for order in orders}) == epochs


@both
def test_orders_of_epochs_are_unrelated(make, request):
    """With too few rounds the orders of two epochs correlate: 0.7 for 48,000 images in memory."""
    count, epochs, steps = 48_000 if request.node.callspec.params["make"] == "array" else 3_600, 3, 12
    drawn = stream(make(numbered(count, 1, 1)), count // steps, seed=3, num_steps=steps * epochs)
    orders = numbers(drawn).ravel().reshape(epochs, count)
    # Rows of a batch belong to files, so that it is the number of an image's batch that is compared.
    batches = np.argsort(orders, axis=1) // (count // steps)
    correlations = np.corrcoef(np.vstack([batches, np.arange(count)]))[np.triu_indices(epochs + 1, 1)]
    assert np.abs(correlations).max() < 5 / np.sqrt(count)  # five standard deviations


def test_files_of_an_epoch_are_mixed(tmp_path, monkeypatch):
    """Also where a window holds but a tenth of the split, images meet others than their neighbours."""
    monkeypatch.setattr(records_lib, "_WINDOW", 100)
    images = record_images(tmp_path, numbered(1000), num_files=40)
    orders = numbers(stream(images, 100, seed=3, num_steps=20)).reshape(2, 1000)
    batches = np.argsort(orders, axis=1) // 100
    assert abs(np.corrcoef(batches)[0, 1]) < 0.5
    # The 100 images of a batch come from at least 25 files of 25 images.
    assert min(len(set(batch // 25)) for batch in orders.reshape(20, 100)) >= 25


@both
def test_flips_are_flips(make):
    images = make(numbered(40))
    plain, flipped = (stream(images, 10, seed=1, num_steps=40, flip=flip).reshape(400, 2, 3, 3) for flip in (0, 1))
    mirrored = (flipped != plain).any(axis=(1, 2, 3))
    np.testing.assert_array_equal(flipped[mirrored], plain[mirrored][:, :, ::-1])
    assert 150 < mirrored.sum() < 250  # 200 expected, standard deviation 10
    # The flips of an image change from epoch to epoch.
    by_image = mirrored[np.argsort(numbers(plain), kind="stable")].reshape(40, 10)
    assert ((by_image.sum(1) > 0) & (by_image.sum(1) < 10)).sum() > 35


@both
def test_conditioning_travels_with_its_image(make):
    conditioning = np.stack([np.arange(30), -np.arange(30)], 1).astype(np.float32)
    images = make(numbered(30), conditioning)
    batches = data.train_batches(images, 7, seed=2, num_steps=20, flip=True)
    assert batches.element_spec[1] == tf.TensorSpec([7, 2] if hasattr(images, "pixels") else [7, None], tf.float32)
    for pixels, rows in batches.as_numpy_iterator():
        np.testing.assert_array_equal(rows, conditioning[numbers(pixels)])
    (pixels, rows), *_ = data.eval_batches(images, 30).as_numpy_iterator()
    np.testing.assert_array_equal(numbers(pixels), np.arange(30))
    np.testing.assert_array_equal(rows, conditioning)


def test_files_in_part(tmp_path):
    """Of each file the records to skip are left out, and no more are taken than was said."""
    whole = record_images(tmp_path, numbered(30), num_files=3)
    files = [(path, skip, take) for path, skip, take in zip(whole._paths, (0, 2, 4), (3, 8, 1), strict=True)]
    images = data.RecordImages(files, whole._decode, shape=whole.shape)
    expected = [*range(3), *range(12, 20), 24]
    assert len(images) == 12
    np.testing.assert_array_equal(numbers(next(iter(data.eval_batches(images, 20))).numpy()), expected)
    drawn = numbers(stream(images, 4, seed=0, num_steps=6)).reshape(2, 12)
    np.testing.assert_array_equal(np.sort(drawn, 1), [expected] * 2)
    np.testing.assert_array_equal(numbers(images.in_memory(5).pixels), expected)


@both
def test_in_memory_are_the_same(make):
    conditioning = np.arange(60, dtype=np.float32).reshape(30, 2)
    for vectors in (None, conditioning):
        images = make(numbered(30), vectors)
        if isinstance(images, data.RecordImages):
            images = images.in_memory(7)
        np.testing.assert_array_equal(images.pixels, numbered(30))
        assert images.conditioning is None if vectors is None else (images.conditioning == vectors).all()


def test_files_that_hold_less(tmp_path):
    whole = record_images(tmp_path, numbered(5), num_files=1)
    images = data.RecordImages([(whole._paths[0], 0, 9)], whole._decode, shape=whole.shape)
    with pytest.raises(ValueError, match=r"\.tfrecord and the files beside it hold 5 records, not 9\."):
        images.in_memory()


# These tests are of several workers and several replicas.


@both
@pytest.mark.parametrize(("workers", "per_worker", "num_files"), [(2, 1, 1), (2, 2, 3), (3, 1, 7), (3, 2, 2)])
def test_shares_of_workers_make_up_the_batches(workers, per_worker, num_files, make):
    size, steps, replicas = 12, 9, workers * per_worker
    images = make(numbered(31), num_files=num_files)
    whole = stream(images, size, seed=4, start_step=2, num_steps=steps, flip=True)
    shares = []
    for worker in range(workers):
        context = tf.distribute.InputContext(workers, worker, replicas)
        options = {"seed": 4, "input_context": context}
        assert data.train_batches(images, size, num_steps=4, **options).cardinality() == 4 * per_worker
        share = stream(images, size, start_step=2, num_steps=steps, flip=True, **options)
        assert share.shape[:2] == (steps * per_worker, size // replicas)
        shares.append(share.reshape(steps, size // workers, 2, 3, 3))
    np.testing.assert_array_equal(np.concatenate(shares, 1), whole)


def test_a_worker_reads_its_share_of_the_files(tmp_path, monkeypatch):
    """Nine of twelve lanes of a file each are those of other workers."""
    images, opened = record_images(tmp_path, numbered(1200), num_files=12), set()
    whole = stream(images, 12, seed=0, num_steps=4)
    genuine = tf.data.TFRecordDataset

    def opening(path):
        def note(path):
            opened.add(path.numpy())
            return path

        return genuine(tf.py_function(note, [path], tf.string))

    monkeypatch.setattr(tf.data, "TFRecordDataset", opening)
    share = stream(images, 12, seed=0, num_steps=4, input_context=tf.distribute.InputContext(4, 1, 4))
    np.testing.assert_array_equal(share, whole[:, 3:6])
    assert len(opened) == 3


@both
@pytest.mark.parametrize("count", [10, 31])
def test_shares_of_an_evaluation_are_whole_batches(count, make):
    images, found, numbers_found = make(numbered(31)), [], []
    for share in [(i, 4) for i in range(4)]:
        found += list(data.eval_batches(images, 4, count, share).as_numpy_iterator())
        numbers_found += data.share_of_batches(count, 4, share)
    assert numbers_found == list(range(len(found)))
    np.testing.assert_array_equal(np.concatenate(found), numbered(31)[:count])
    assert {len(batch) for batch in found[:-1]} == {4}


def test_batches_must_divide_among_replicas():
    with pytest.raises(ValueError, match=r"`batch_size`=6: must be a multiple of the number of replicas, 4\."):
        data.train_batches(data.ArrayImages(numbered(9)), 6, seed=0, input_context=tf.distribute.InputContext(2, 0, 4))


@both
def test_batches_through_a_strategy(make):
    """A dataset that is distributed is serialised first."""
    batches = data.train_batches(make(numbered(9)), 4, seed=2, flip=True)
    distributed = next(iter(tf.distribute.OneDeviceStrategy("CPU:0").experimental_distribute_dataset(batches)))
    np.testing.assert_array_equal(distributed, next(iter(batches)))


# These tests are of images in their order.


@both
def test_eval_batches_keep_the_order(make):
    images = make(numbered(10))
    assert data.eval_batches(images, 4).cardinality() == 3  # Keras needs it where an execution has several steps.
    assert data.eval_batches(images, 4, 99).cardinality() == 3
    assert data.eval_batches(images, 4, 8).cardinality() == 2
    batches = list(data.eval_batches(images, 4).as_numpy_iterator())
    assert [len(batch) for batch in batches] == [4, 4, 2]
    np.testing.assert_array_equal(np.concatenate(batches), numbered(10))
    first = list(data.eval_batches(images, 4, 5).as_numpy_iterator())
    np.testing.assert_array_equal(np.concatenate(first), numbered(10)[:5])
    assert sum(len(batch) for batch in data.eval_batches(images, 4, 99)) == 10


def test_eval_crops_are_always_the_same(tmp_path):
    images = record_images(tmp_path, numbered(20, 2, 200), crop=2)
    found = [np.concatenate(list(data.eval_batches(images, size).as_numpy_iterator())) for size in (20, 3)]
    tf.random.set_seed(9)
    found.append(np.concatenate(list(data.eval_batches(images, 7, 12).as_numpy_iterator())))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0][:12], found[2])
    assert len(set(found[0][:, 0, 0, 2])) > 15


# These tests are of mistakes.


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (numbered(5) / 1.0, r"`pixels` is float64 \(5, 2, 3, 3\): must be a uint8 array \[N, H, W, C\]"),
        (numbered(5)[0], r"`pixels` is uint8 \(2, 3, 3\)"),
        (numbered(0), r"`pixels` is uint8 \(0, 2, 3, 3\)"),
        ([1], "`pixels` is list"),
    ],
)
def test_pixel_errors(pixels, message):
    with pytest.raises(ValueError, match=message):
        data.ArrayImages(pixels)


@pytest.mark.parametrize("conditioning", [np.zeros((5, 2)), np.zeros(5, np.float32), np.zeros((4, 2), np.float32)])
def test_conditioning_errors(conditioning):
    with pytest.raises(
        ValueError, match=r"`conditioning` is float\d\d \(.*: must be a float32 array \[N, K\] with N=5"
    ):
        data.ArrayImages(numbered(5), conditioning)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "`batch_size`=0: must be an int of at least 1, the images of a batch"),
        ({"batch_size": 6}, "`batch_size`=6: must be at most the number of images, 5; lower it"),
        ({"seed": -1}, "`seed`=-1: must be an int of at least 0"),
        ({"seed": 0.5}, "`seed`=0.5: must be an int"),
        ({"start_step": -1}, "`start_step`=-1: must be an int of at least 0"),
        ({"num_steps": 0}, "`num_steps`=0: must be an int of at least 1"),
    ],
)
def test_batch_errors(changes, message):
    images = data.ArrayImages(numbered(5))
    with pytest.raises(ValueError, match=message):
        data.train_batches(**{"images": images, "batch_size": 2, "seed": 0, **changes})


def test_eval_batch_errors():
    images = data.ArrayImages(numbered(5))
    with pytest.raises(ValueError, match="`batch_size`=True"):
        data.eval_batches(images, True)
    with pytest.raises(ValueError, match="`count`=0"):
        data.eval_batches(images, 1, 0)
