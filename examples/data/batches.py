"""Batches for training, which their step number determines, and for evaluation."""

import tensorflow as tf

from examples.data.image_data import check_int
from examples.data.images import fold_in

_CROP, _FLIP = 1, 2  # They give crops and flips different random numbers from one seed.


def train_batches(images, batch_size, *, seed, start_step=0, num_steps=None, flip=False, input_context=None):
    """Returns an endless tf.data.Dataset of batches, or one of `num_steps` batches.

    An element is images [batch_size, H, W, C] of `images.dtype`, or a pair of such images and their conditioning,
    float32 [batch_size, K]. Batch number s is a function of `images`, `batch_size`, `seed`, `flip` and s alone, so a
    run that stopped before step s continues exactly with `start_step=s`. Every epoch shows every image once, in an
    order of its own; a batch may begin in one epoch and end in the next.

    Args:
      images: `Images`.
      batch_size: int, images per batch over all replicas: a multiple of their number, and at most `len(images)`.
      seed: int; another seed gives other orders, crops and flips.
      start_step: int, number of the first batch.
      num_steps: int, how many batches the dataset has; None for an endless one.
      flip: Python bool; mirror every image left to right with probability 1/2.
      input_context: `tf.distribute.InputContext`, as `distribute_datasets_from_function` passes it, or None. With
        one, an element is the share of one of this worker's replicas, and the shares of all workers together make up
        the same batches as without it.

    Raises:
      ValueError: if an argument breaks its rule.
    """
    check_int("batch_size", batch_size, 1, "the images of a batch")
    check_int("seed", seed, 0, "which selects orders, crops and flips")
    check_int("start_step", start_step, 0, "the number of the first batch")
    if num_steps is not None:
        check_int("num_steps", num_steps, 1, "the number of batches; None is for no end")
    if batch_size > len(images):
        raise ValueError(f"`batch_size`={batch_size}: must be at most the number of images, {len(images)}; lower it.")
    workers, worker, replicas = 1, 0, 1
    if input_context is not None:
        workers, worker = input_context.num_input_pipelines, input_context.input_pipeline_id
        replicas = input_context.num_replicas_in_sync
    check_divides(batch_size, replicas)

    crop_seed = fold_in(seed, _CROP)
    rows = worker * batch_size // workers, (worker + 1) * batch_size // workers
    records = images.shuffled(seed, batch_size, start_step, rows)
    if num_steps is not None:
        records = records.take(num_steps * (rows[1] - rows[0]))

    def example(position, record):
        example_seed = fold_in(crop_seed, position)
        image, conditioning = images.example(record, example_seed)
        if flip:
            mirrored = tf.random.stateless_uniform([], fold_in(example_seed, _FLIP)) < 0.5
            image = tf.where(mirrored, image[:, ::-1], image)
        return image if conditioning is None else (image, conditioning)

    examples = records.map(example, tf.data.AUTOTUNE, deterministic=True)
    total = tf.data.INFINITE_CARDINALITY if num_steps is None else num_steps * replicas // workers
    return _batched(examples, batch_size // replicas, total)


def check_divides(batch_size, replicas):
    """Raises ValueError unless a batch can be divided among so many replicas."""
    if batch_size % replicas:
        raise ValueError(f"`batch_size`={batch_size}: must be a multiple of the number of replicas, {replicas}.")


def eval_batches(images, batch_size, count=None, share=(0, 1)):
    """Returns a tf.data.Dataset of all `images`, or the first `count`, in order; the last batch may be smaller.

    The elements are like those of `train_batches`. A random crop depends on the image's number alone, so that every
    call gives the same crops.

    Args:
      images: `Images`.
      batch_size: int, images per batch.
      count: int, or None for all.
      share: (i, n), ints; only the batches of worker i of n, see `share_of_batches`.

    Raises:
      ValueError: if an argument breaks its rule.
    """
    check_int("batch_size", batch_size, 1, "the images of a batch")
    if count is not None:
        check_int("count", count, 1, "the number of images; None is for all")

    crop_seed = fold_in(0, _CROP)

    def example(position, record):
        image, conditioning = images.example(record, fold_in(crop_seed, position))
        return image if conditioning is None else (image, conditioning)

    count = min(count or len(images), len(images))
    numbers = share_of_batches(count, batch_size, share)
    begin, end = (min(number * batch_size, count) for number in (numbers.start, numbers.stop))
    records = images.in_order(begin, end).enumerate(begin)
    examples = records.map(example, tf.data.AUTOTUNE, deterministic=True)
    return _batched(examples, batch_size, len(numbers), drop_remainder=False)


def share_of_batches(count, batch_size, share):
    """Returns the numbers, a range, of worker i's batches of `count` images among n workers, with `share`=(i, n)."""
    worker, workers = share
    batches = -(-count // batch_size)
    return range(worker * batches // workers, (worker + 1) * batches // workers)


def _batched(examples, batch_size, total, drop_remainder=True):
    batches = examples.batch(batch_size, drop_remainder=drop_remainder)
    # Keras asks for the number of batches, which a dataset that is read from files does not know.
    return batches.apply(tf.data.experimental.assert_cardinality(total)).prefetch(tf.data.AUTOTUNE)
