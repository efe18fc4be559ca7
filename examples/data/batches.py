"""Batches that a step number determines."""

import tensorflow as tf

from examples.data.image_data import check_images, check_int

# The 4 rounds of `tf.random.experimental.index_shuffle` leave the orders of two epochs alike: correlation 0.7 for
# 48,000 images, that of chance from 8 rounds on. It also pads a batch of seeds along the wrong axis. Hence the raw op.
_SHUFFLE_ROUNDS = 24
_ORDER, _FLIP = 1, 2  # keep the draws of one seed apart


def train_batches(images, batch_size, *, seed, start_step=0, num_steps=None, flip=False):
    """Returns a tf.data.Dataset of uint8 batches [batch_size, H, W, C] without end, or of `num_steps` batches.

    Batch number s is a function of `images`, `batch_size`, `seed`, `flip` and s alone. So a run that stopped before
    step s goes on with `start_step=s` exactly, and at once. Every epoch has its own order, which shows every image
    once; a batch may begin in one epoch and end in the next.

    Args:
      images: uint8 array [N, H, W, C].
      batch_size: int, at most N.
      seed: int; another seed gives other orders and other flips.
      start_step: int, number of the first batch.
      num_steps: int, how many batches from there; None for no end.
      flip: Python bool; mirror every image left to right with probability 1/2.

    Raises:
      ValueError: if an argument breaks its rule.
    """
    check_images("images", images)
    check_int("batch_size", batch_size, 1, "the images of a batch")
    check_int("seed", seed, 0, "which selects orders and flips")
    check_int("start_step", start_step, 0, "the number of the first batch")
    if num_steps is not None:
        check_int("num_steps", num_steps, 1, "the number of batches; None is for no end")
    total = len(images)
    if batch_size > total:
        raise ValueError(f"`batch_size`={batch_size}: must be at most the number of images, {total}; lower it.")
    with tf.device("CPU:0"):  # where tf.data gathers from it; made once, here, and captured
        pixels = tf.constant(images)

    def batch(step):
        places = step * batch_size + tf.range(batch_size, dtype=tf.int64)
        epochs = places // total
        # A batch is no longer than an epoch, so it touches two at most.
        keys = [
            tf.random.stateless_uniform([3], _seed(seed, epoch, _ORDER), minval=None, maxval=None, dtype=tf.int64)
            for epoch in (epochs[0], epochs[0] + 1)
        ]
        rows = tf.raw_ops.RandomIndexShuffle(
            index=places % total,
            seed=tf.gather(keys, epochs - epochs[0]),
            max_index=tf.constant(total - 1, tf.int64),
            rounds=_SHUFFLE_ROUNDS,
        )
        chosen = tf.gather(pixels, rows)
        if flip:
            mirrored = tf.random.stateless_uniform([batch_size, 1, 1, 1], _seed(seed, step, _FLIP)) < 0.5
            chosen = tf.where(mirrored, chosen[:, :, ::-1], chosen)
        return chosen

    steps = tf.data.Dataset.counter(start_step)
    if num_steps is not None:
        steps = steps.take(num_steps)
    return steps.map(batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)


def eval_batches(images, batch_size):
    """Returns a tf.data.Dataset of all `images` (uint8 [N, H, W, C]) in order; the last batch may be smaller."""
    check_images("images", images)
    check_int("batch_size", batch_size, 1, "the images of a batch")
    return tf.data.Dataset.from_tensor_slices(images).batch(batch_size).prefetch(tf.data.AUTOTUNE)


def _seed(seed, number, purpose):
    return tf.random.experimental.stateless_fold_in(tf.stack([tf.constant(seed, tf.int64), number]), purpose)
