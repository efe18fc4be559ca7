"""The images of one split in TFRecord files, of which a worker reads its share."""

import re

import numpy as np
import tensorflow as tf

from examples.data.images import ArrayImages, Images, fold_in, positions

_WINDOW = 4096  # records that are shuffled together: more take more memory, fewer are mixed less
_FILES_AT_ONCE = 16
_MOST_LANES = 256


class RecordImages(Images):
    """Images in TFRecord files, decoded as they are needed.

    A batch comes from several *lanes*: each gives the same number of neighbouring rows to every batch, so that a worker
    reads the lanes of its own rows. There are as many lanes as the batch can be divided into without more of them than
    files. An epoch puts the files in a new order and cuts the sequence of their records into a part for each lane, as
    long as its rows in that epoch. A lane interleaves the files of its part and shuffles windows of its records; over
    all lanes at least 16 files and about 4,096 records are mixed. To start in the middle of an epoch, records before
    it are read but not decoded.
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

    def in_order(self, begin, end):
        return self._read(tf.range(len(self._paths)), begin, end, 1)

    def shuffled(self, seed, batch_size, start_step, rows):
        most = min(len(self._paths), _MOST_LANES)
        lanes = max(n for n in range(1, most + 1) if batch_size % n == 0)
        height = batch_size // lanes  # rows of a lane
        begin, end = rows
        first, last = begin // height, -(-end // height)

        def lane(number):
            return self._lane(number, lanes, seed, batch_size, start_step)

        records = tf.data.Dataset.range(first, last).interleave(
            lane,
            cycle_length=last - first,
            block_length=height,
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        pairs = tf.data.Dataset.zip(positions(batch_size, start_step, (first * height, last * height)), records)
        if (first * height, last * height) == (begin, end):
            return pairs
        return pairs.filter(lambda p, _: (p % batch_size >= begin) & (p % batch_size < end))

    def _lane(self, lane, lanes, seed, batch_size, start_step):
        """Returns an endless dataset of the records of a lane, from batch `start_step` on."""
        total, height = len(self), batch_size // lanes
        files_at_once, window = -(-_FILES_AT_ONCE // lanes), max(1, _WINDOW // lanes)

        def positions_before(epoch):
            """How many positions before an epoch are those of each lane, int64 [lanes]."""
            batches, rest = epoch * total // batch_size, epoch * total % batch_size
            return batches * height + tf.clip_by_value(rest - tf.range(lanes, dtype=tf.int64) * height, 0, height)

        def of_epoch(epoch):
            order_seed = fold_in(seed, epoch)
            order = tf.random.experimental.stateless_shuffle(tf.range(len(self._paths)), order_seed)
            lengths = positions_before(epoch + 1) - positions_before(epoch)
            begin = tf.gather(tf.cumsum(lengths, exclusive=True), lane)

            def mix(number, records):
                # The order of `Dataset.shuffle` would also depend on TensorFlow's global seed.
                return tf.random.experimental.stateless_shuffle(records, fold_in(fold_in(order_seed, number), lane))

            records = self._read(order, begin, begin + tf.gather(lengths, lane), files_at_once)
            return records.batch(window).enumerate().map(mix).prefetch(1).unbatch()

        first = tf.constant(start_step * batch_size // total, tf.int64)
        skipped = start_step * height - tf.gather(positions_before(first), lane)
        return tf.data.Dataset.counter(first).flat_map(of_epoch).skip(skipped)

    def example(self, record, seed):
        image, conditioning = self._decode(record, seed)
        return tf.ensure_shape(image, self.shape), conditioning

    def in_memory(self, batch_size=500, progress=iter):
        """Returns these images as `ArrayImages`; `progress` wraps the iterable of decoded batches."""
        pixels = np.empty([len(self), *self.shape], self.dtype.as_numpy_dtype)
        conditioning = np.empty([len(self), self.conditioning_size], np.float32) if self.conditioning_size else None
        done = 0
        records = self.in_order(0, len(self))
        decoded = records.map(lambda r: self.example(r, [0, 0]), num_parallel_calls=tf.data.AUTOTUNE)
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

    def _read(self, order, begin, end, files_at_once):
        """Returns records number `begin` to `end` - 1 of the files in that order; no other files are opened."""
        paths, skips, takes = (tf.gather(column, order) for column in (self._paths, self._skips, self._takes))
        skips, takes = tf.cast(skips, tf.int64), tf.cast(takes, tf.int64)
        starts = tf.cumsum(takes, exclusive=True)
        before, until = (tf.clip_by_value(tf.cast(n, tf.int64) - starts, 0, takes) for n in (begin, end))
        wanted = until > before
        files = [tf.boolean_mask(column, wanted) for column in (paths, skips + before, until - before)]

        def part(path, skip, take):
            return tf.data.TFRecordDataset(path).skip(skip).take(take)

        # Short blocks would make the disk seek, so 16 records of a file are read together.
        return tf.data.Dataset.from_tensor_slices(tuple(files)).interleave(
            part, cycle_length=files_at_once, block_length=16, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        )
