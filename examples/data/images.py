"""The images of one split, in order or shuffled for training: what all have in common, and those in memory."""

import abc

import numpy as np
import tensorflow as tf

from examples.data.image_data import check_images

# With the 4 rounds of `tf.random.experimental.index_shuffle` the orders of two epochs are alike: their correlation is
# 0.7 for 48,000 images; from 8 rounds on, it is that of chance. The function also pads a batch of seeds along the wrong
# axis. So the raw operation is used.
_SHUFFLE_ROUNDS = 24


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
    def in_order(self, begin, end):
        """Returns a tf.data.Dataset of records number `begin` to `end` - 1, in the order that is always the same."""

    @abc.abstractmethod
    def shuffled(self, seed, batch_size, start_step, rows):
        """Returns an endless tf.data.Dataset of pairs: a position among all that training shows, int64, and a record.

        Position p is row p % `batch_size` of batch p // `batch_size`. Each epoch, which is as many positions as there
        are images, shows every image once, in an order of its own.

        Args:
          seed: int, selects the orders.
          batch_size: int.
          start_step: int, the number of the first batch.
          rows: (begin, end), ints, the rows of each batch that are wanted.
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

    def in_order(self, begin, end):
        return tf.data.Dataset.range(begin, end)

    def shuffled(self, seed, batch_size, start_step, rows):
        total = len(self)

        def pair(position):
            epoch, index = position // total, position % total
            key = tf.random.stateless_uniform([3], fold_in(seed, epoch), minval=None, maxval=None, dtype=tf.int64)
            last = tf.constant(total - 1, tf.int64)
            return position, tf.raw_ops.RandomIndexShuffle(
                index=index, seed=key, max_index=last, rounds=_SHUFFLE_ROUNDS
            )

        return positions(batch_size, start_step, rows).map(pair)

    def example(self, record, seed):
        if self._tensors is None:
            with tf.init_scope(), tf.device("CPU:0"):  # tf.data gathers there; this is made once and captured.
                both = (self.pixels, self.conditioning)
                self._tensors = [None if a is None else tf.constant(a) for a in both]
        image, conditioning = (None if t is None else tf.gather(t, record) for t in self._tensors)
        return image, conditioning

    def damage(self):
        """Returns None, because there are no files."""


def fold_in(seed, number):
    """Returns a seed, int64 [2], that depends on `seed`, an int or a seed [2], and on the integer `number`."""
    seed = tf.cast(seed, tf.int64)
    return tf.random.experimental.stateless_fold_in(tf.stack([seed, 0]) if seed.shape.rank == 0 else seed, number)


def positions(batch_size, start_step, rows):
    """Returns an endless tf.data.Dataset of the positions of `rows` in all batches from `start_step` on."""
    begin, end = rows
    width = end - begin
    places = tf.data.Dataset.counter(start_step * width)
    return places.map(lambda i: i // width * batch_size + begin + i % width)
