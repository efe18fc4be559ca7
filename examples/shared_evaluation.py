"""Evaluation that several workers share: each evaluates whole batches of its own, as one process would."""

import numpy as np
import tensorflow as tf
import tf_keras

from examples import together
from examples.data import eval_batches, share_of_batches


class SharedEvaluation:
    """Bits/dim of images by all workers together; every method is called by all of them.

    Keras divides each batch among the replicas, and the last one, which may be smaller, into shares of other sizes, so
    that the images would get other noise.
    """

    def __init__(self, model, workers):
        """Args: model: `FlowModel`, built under the workers' strategy; workers: `Workers`."""
        self._model, self._workers = model, workers
        self._together = together.of_all(model.distribute_strategy, workers)
        self._function = None

    def _bits_per_dim(self, number_and_draw, *parts):
        """Returns bits/dim of a batch, the images and perhaps their conditioning, of any size."""
        if self._function is None:
            of_model = self._model.likelihood.bits_per_dim_of_batch
            signature = [tf.TensorSpec([None, *part.shape[1:]], part.dtype) for part in parts]
            self._function = tf.function(
                lambda place, images, conditioning=None: of_model(images, conditioning, place[0], place[1]),
                autograph=False,
                input_signature=[tf.TensorSpec([2], tf.int64), *signature],
            )
        return self._function(number_and_draw, *parts)

    def per_image(self, images, batch_size, count=None, draw=0):
        """Returns the bits/dim of the first `count` images, float64 [count], with the model's weights for evaluation.

        Args:
          images: `Images`.
          batch_size, count: see `eval_batches`.
          draw: int, the number of the draw of the noise.

        The noise is that of `FlowModel.predict`, which numbers the batches alike.
        """
        count = min(count or len(images), len(images))
        share = self._workers.index, len(self._workers.addresses)
        batches = eval_batches(images, batch_size, count, share)
        found = np.zeros(count)
        with self._model.evaluation_weights():
            for number, batch in zip(share_of_batches(count, batch_size, share), batches, strict=True):
                parts = batch if isinstance(batch, tuple) else (batch,)
                bits = self._bits_per_dim(tf.constant([number, draw], tf.int64), *parts)
                found[number * batch_size : number * batch_size + len(bits)] = bits
        return self._together.sum(found)


class Validation(tf_keras.callbacks.Callback):
    """Adds `val_loss` and `val_bits_per_dim` to the logs of an interval, for the callbacks after it."""

    def __init__(self, evaluation, images, batch_size, count, others):
        """Args: images, batch_size, count: see `SharedEvaluation`; others: callbacks, to be told that it begins."""
        super().__init__()
        self._evaluation, self._what, self._others = evaluation, (images, batch_size, count), others

    def on_epoch_end(self, epoch, logs=None):
        for callback in self._others:
            callback.on_test_begin()
        logs |= self.means()

    def means(self):
        """Returns what Keras' `evaluate` would, by its names in the logs."""
        bits = float(self._evaluation.per_image(*self._what).mean())
        with self.model.evaluation_weights():
            penalty = float(self.model.likelihood.penalty_bits_per_dim())
        return {"val_loss": bits + penalty, "val_bits_per_dim": bits}
