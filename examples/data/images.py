"""The images of one split, in memory or in files, in order or in the order of training."""

import abc
import re

import numpy as np
import tensorflow as tf

from examples.data.image_data import check_images

# The 4 rounds of `tf.random.experimental.index_shuffle` leave the orders of two epochs alike: correlation 0.7 for
# 48,000 images, that of chance from 8 rounds on. It also pads a batch of seeds along the wrong axis. Hence the raw op.
_SHUFFLE_ROUNDS = 24
_WINDOW = 4096  # records that are shuffled together: more is more memory, less is less shuffled
_FILES_AT_ONCE = 16


class Images(abc.ABC):
    """One split: what `train_batches` and `eval_batches` take.

    A *record* is a tensor from which `example` makes an image; to skip a record costs little.

    Attributes:
      shape: (H, W, C).
      dtype: tf.uint8, or tf.float32 for pixels that are no whole numbers.
      conditioning_size: int, entries of the float32 vector that comes with each image; 0 for none.
    """

    shape: tuple[int, int, int]
    dtype = tf.uint8
    conditioning_size = 0

    @abc.abstractmethod
    def __len__(self):
        """The number of images."""

    def __repr__(self):
        return f"{type(self).__name__}({len(self):,} images of {self.shape})"

    @abc.abstractmethod
    def in_order(self):
        """A tf.data.Dataset of all records, always in the same order."""

    @abc.abstractmethod
    def shuffled(self, seed, start):
        """A tf.data.Dataset of records without end; each epoch shows every image once, in an order of its own.

        Args:
          seed: int, selects the orders.
          start: int, how many records of that sequence to leave out.
        """

    @abc.abstractmethod
    def example(self, record, seed):
        """Returns image and conditioning (or None) of a record; `seed` [2] is for what is random in its crop."""

    @abc.abstractmethod
    def damage(self):
        """Says which file can't be read to its end, and why; None if all can. Reads them all."""


class ArrayImages(Images):
    """Images in memory."""

    def __init__(self, pixels, conditioning=None):
        """Args: pixels: uint8 array [N, H, W, C]; conditioning: float32 array [N, K], or None."""
        check_images("pixels", pixels)
        self.pixels = pixels
        self.conditioning = conditioning
        self.shape = pixels.shape[1:]
        if conditioning is not None:
            if conditioning.dtype != np.float32 or conditioning.ndim != 2 or len(conditioning) != len(pixels):
                raise ValueError(
                    f"`conditioning` is {conditioning.dtype} {conditioning.shape}: must be a float32 array [N, K] "
                    f"with N={len(pixels)}, a row an image."
                )
            self.conditioning_size = conditioning.shape[1]
        self._tensors = None

    def __len__(self):
        return len(self.pixels)

    def in_order(self):
        return tf.data.Dataset.range(len(self))

    def shuffled(self, seed, start):
        total = len(self)

        def row(place):
            key = tf.random.stateless_uniform(
                [3], fold_in(seed, place // total), minval=None, maxval=None, dtype=tf.int64
            )
            last = tf.constant(total - 1, tf.int64)
            return tf.raw_ops.RandomIndexShuffle(index=place % total, seed=key, max_index=last, rounds=_SHUFFLE_ROUNDS)

        return tf.data.Dataset.counter(start).map(row)

    def example(self, record, seed):
        if self._tensors is None:
            with tf.init_scope(), tf.device("CPU:0"):  # where tf.data gathers from it; made once and captured
                both = (self.pixels, self.conditioning)
                self._tensors = [None if a is None else tf.constant(a) for a in both]
        image, conditioning = (None if t is None else tf.gather(t, record) for t in self._tensors)
        return image, conditioning

    def damage(self):
        """None: there are no files."""


class RecordImages(Images):
    """Images in TFRecord files, decoded as they are needed.

    Training shuffles the files of an epoch, mixes 16 at a time, and shuffles windows of 4,096 records of that. To
    start amid an epoch, the records before are read, but not decoded.
    """

    def __init__(self, files, decode, *, shape, dtype=tf.uint8, conditioning_size=0):
        """Args:
        files: list of (path, records to skip, records to take).
        decode: from a record and a seed [2] to image and conditioning (or None).
        shape, dtype, conditioning_size: see `Images`.
        """
        self._paths, self._skips, self._takes = (list(column) for column in zip(*files, strict=True))
        self._decode = decode
        self.shape, self.dtype, self.conditioning_size = shape, dtype, conditioning_size

    def __len__(self):
        return sum(self._takes)

    def in_order(self):
        return self._read(tf.range(len(self._paths)), 1)

    def shuffled(self, seed, start):
        def epoch(number):
            order_seed = fold_in(seed, number)
            order = tf.random.experimental.stateless_shuffle(tf.range(len(self._paths)), order_seed)

            def mix(window, records):
                return tf.random.experimental.stateless_shuffle(records, fold_in(order_seed, window))

            # Not `Dataset.shuffle`: its order depends on TensorFlow's global seed too.
            return self._read(order, _FILES_AT_ONCE).batch(_WINDOW).enumerate().map(mix).prefetch(1).unbatch()

        epochs = tf.data.Dataset.counter(start // len(self))
        return epochs.flat_map(epoch).skip(start % len(self))

    def example(self, record, seed):
        image, conditioning = self._decode(record, seed)
        return tf.ensure_shape(image, self.shape), conditioning

    def in_memory(self, batch_size=500, progress=iter):
        """Returns these images as `ArrayImages`; `progress` wraps the iterable of decoded batches."""
        pixels = np.empty([len(self), *self.shape], self.dtype.as_numpy_dtype)
        conditioning = np.empty([len(self), self.conditioning_size], np.float32) if self.conditioning_size else None
        done = 0
        decoded = self.in_order().map(lambda r: self.example(r, [0, 0]), num_parallel_calls=tf.data.AUTOTUNE)
        for images, rows in progress(decoded.batch(batch_size).prefetch(1).as_numpy_iterator()):
            pixels[done : done + len(images)] = images
            if conditioning is not None:
                conditioning[done : done + len(images)] = rows
            done += len(images)
        if done != len(self):
            raise ValueError(f"{self._paths[0]} and the files beside it hold {done} records, not {len(self)}.")
        return ArrayImages(pixels, conditioning)

    def damage(self):
        for path in self._paths:
            try:
                tf.data.TFRecordDataset(path).reduce(0, lambda count, _: count + 1)
            except tf.errors.OpError as error:
                # TensorFlow's message is of several lines, and names no file.
                reason = re.search(r"\w+ record at \d+", error.message)
                return f"{path}: {reason[0] if reason else error.message}"
        return None

    def _read(self, order, files_at_once):
        def file(i):
            path, skip, take = (tf.gather(column, i) for column in (self._paths, self._skips, self._takes))
            return tf.data.TFRecordDataset(path).skip(tf.cast(skip, tf.int64)).take(tf.cast(take, tf.int64))

        # Two records a file in turn would seek; sixteen are read together.
        return tf.data.Dataset.from_tensor_slices(order).interleave(
            file, cycle_length=files_at_once, block_length=16, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        )


def fold_in(seed, number):
    """Returns a seed [2] for the `number`-th of what `seed` (an int, or a seed [2]) is for."""
    seed = tf.cast(seed, tf.int64)
    return tf.random.experimental.stateless_fold_in(tf.stack([seed, 0]) if seed.shape.rank == 0 else seed, number)
