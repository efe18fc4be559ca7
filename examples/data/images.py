"""The images of one split, held in memory or read from files, in order or shuffled for training."""

import abc
import re

import numpy as np
import tensorflow as tf

from examples.data.image_data import check_images

# With the 4 rounds of `tf.random.experimental.index_shuffle` the orders of two epochs are alike: their correlation is
# 0.7 for 48,000 images; from 8 rounds on, it is that of chance. The function also pads a batch of seeds along the wrong
# axis. So the raw operation is used.
_SHUFFLE_ROUNDS = 24
_WINDOW = 4096  # records that are shuffled together: more take more memory, fewer are mixed less
_FILES_AT_ONCE = 16


class Images(abc.ABC):
    """One split: what `train_batches` and `eval_batches` take.

    A *record* is a tensor from which `example` makes an image; skipping a record is cheap.

    Attributes:
      shape: (H, W, C).
      dtype: tf.uint8, or tf.float32 for pixels that are not whole numbers.
      conditioning_size: int, length of the float32 vector that comes with each image; 0 if there is none.
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
        """Returns a tf.data.Dataset of all records, always in the same order."""

    @abc.abstractmethod
    def shuffled(self, seed, start):
        """Returns an endless tf.data.Dataset of records; each epoch shows every image once, in an order of its own.

        Args:
          seed: int, selects the orders.
          start: int, how many records at the beginning of that sequence to skip.
        """

    @abc.abstractmethod
    def example(self, record, seed):
        """Returns the image [H, W, C] and the conditioning [K], or None, of a record.

        Args:
          record: tensor, an element of `in_order` or `shuffled`.
          seed: int64 tensor [2], determines the image's crop if that is random.
        """

    @abc.abstractmethod
    def damage(self):
        """Returns which file can't be read to its end, and why, or None if all can. It reads them to find out."""


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

        def row(position):
            epoch, index = position // total, position % total
            key = tf.random.stateless_uniform([3], fold_in(seed, epoch), minval=None, maxval=None, dtype=tf.int64)
            last = tf.constant(total - 1, tf.int64)
            return tf.raw_ops.RandomIndexShuffle(index=index, seed=key, max_index=last, rounds=_SHUFFLE_ROUNDS)

        return tf.data.Dataset.counter(start).map(row)

    def example(self, record, seed):
        if self._tensors is None:
            with tf.init_scope(), tf.device("CPU:0"):  # tf.data gathers there; this is made once and captured.
                both = (self.pixels, self.conditioning)
                self._tensors = [None if a is None else tf.constant(a) for a in both]
        image, conditioning = (None if t is None else tf.gather(t, record) for t in self._tensors)
        return image, conditioning

    def damage(self):
        """Returns None, because there are no files."""


class RecordImages(Images):
    """Images in TFRecord files, decoded as they are needed.

    An epoch of training takes the files in a new order, interleaves 16 at a time, and shuffles windows of 4,096 of the
    interleaved records. To start in the middle of an epoch, the records before it are read but not decoded.
    """

    def __init__(self, files, decode, *, shape, dtype=tf.uint8, conditioning_size=0):
        """Args:
        files: list of (path, records to skip, records to take).
        decode: function from a record and a seed [2] to an image and its conditioning, or None.
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

            # The order of `Dataset.shuffle` would also depend on TensorFlow's global seed.
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
                # TensorFlow's message has several lines and names no file.
                reason = re.search(r"\w+ record at \d+", error.message)
                return f"{path}: {reason[0] if reason else error.message}"
        return None

    def _read(self, order, files_at_once):
        def file(i):
            path, skip, take = (tf.gather(column, i) for column in (self._paths, self._skips, self._takes))
            return tf.data.TFRecordDataset(path).skip(tf.cast(skip, tf.int64)).take(tf.cast(take, tf.int64))

        # Short blocks would make the disk seek, so 16 records of a file are read together.
        return tf.data.Dataset.from_tensor_slices(order).interleave(
            file, cycle_length=files_at_once, block_length=16, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        )


def fold_in(seed, number):
    """Returns a seed, int64 [2], that depends on `seed`, an int or a seed [2], and on the integer `number`."""
    seed = tf.cast(seed, tf.int64)
    return tf.random.experimental.stateless_fold_in(tf.stack([seed, 0]) if seed.shape.rank == 0 else seed, number)
