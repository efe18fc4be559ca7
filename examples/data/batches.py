"""Batches that a step number determines."""

import tensorflow as tf

from examples.data.image_data import check_int
from examples.data.images import fold_in

_CROP, _FLIP = 1, 2  # keep the draws of one seed apart


def train_batches(images, batch_size, *, seed, start_step=0, num_steps=None, flip=False, input_context=None):
    """Returns a tf.data.Dataset of batches [batch_size, H, W, C] without end, or of `num_steps` batches.

    Elements are images, or pairs (images, conditioning). Batch number s is a function of `images`, `batch_size`,
    `seed`, `flip` and s alone. So a run that stopped before step s goes on with `start_step=s` exactly. Every epoch
    has its own order, which shows every image once; a batch may begin in one epoch and end in the next.

    Args:
      images: `Images`.
      batch_size: int, at most the number of images; over all replicas.
      seed: int; another seed gives other orders, crops and flips.
      start_step: int, number of the first batch.
      num_steps: int, how many batches from there; None for no end.
      flip: Python bool; mirror every image left to right with probability 1/2.
      input_context: `tf.distribute.InputContext`, as `distribute_datasets_from_function` passes it, or None. The
        elements are then the shares of this worker's replicas, one after the other, and the shares of all workers
        make up the same batches as without.

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
    if batch_size % replicas:
        raise ValueError(f"`batch_size`={batch_size}: must be a multiple of the number of replicas, {replicas}.")

    start, draws = start_step * batch_size, fold_in(seed, _CROP)
    records = images.shuffled(seed, start).enumerate(start)
    if num_steps is not None:
        records = records.take(num_steps * batch_size)
    if workers > 1:
        records = records.filter(lambda place, _: place % batch_size // (batch_size // workers) == worker)

    def example(place, record):
        own = fold_in(draws, place)
        image, conditioning = images.example(record, own)
        if flip:
            mirrored = tf.random.stateless_uniform([], fold_in(own, _FLIP)) < 0.5
            image = tf.where(mirrored, image[:, ::-1], image)
        return image if conditioning is None else (image, conditioning)

    examples = records.map(example, tf.data.AUTOTUNE, deterministic=True)
    total = tf.data.INFINITE_CARDINALITY if num_steps is None else num_steps * replicas // workers
    return _batched(examples, batch_size // replicas, total)


def eval_batches(images, batch_size, count=None):
    """Returns a tf.data.Dataset of all `images`, or the first `count`, in order; the last batch may be smaller.

    Elements as of `train_batches`. A random crop is that of the image's number, always the same.
    """
    check_int("batch_size", batch_size, 1, "the images of a batch")
    if count is not None:
        check_int("count", count, 1, "the number of images; None is for all")

    draws = fold_in(0, _CROP)

    def example(place, record):
        image, conditioning = images.example(record, fold_in(draws, place))
        return image if conditioning is None else (image, conditioning)

    count = min(count or len(images), len(images))
    examples = images.in_order().take(count).enumerate().map(example, tf.data.AUTOTUNE, deterministic=True)
    return _batched(examples, batch_size, -(-count // batch_size), drop_remainder=False)


def _batched(examples, batch_size, total, drop_remainder=True):
    batches = examples.batch(batch_size, drop_remainder=drop_remainder)
    # Keras asks for the number, and what is read from files has none by itself.
    return batches.apply(tf.data.experimental.assert_cardinality(total)).prefetch(tf.data.AUTOTUNE)
