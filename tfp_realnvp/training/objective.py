"""What a training step minimises: noise, likelihood, weights of images and penalty, without Keras."""

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.keywords import image_log_prob
from tfp_realnvp.pixels import dequantize
from tfp_realnvp.runtime.replicas import in_several_replicas

TRAINING, EVALUATION = 0, 1


class Objective:
    """The objective of a distribution over images, nats per image.

        objective = l2 * sum(v ** 2 over regularized variables) - mean(weight * log_prob(images + noise))

    The noise of a batch is a function of four numbers: the seed, the stream (`TRAINING` or `EVALUATION`), the number of
    the batch and, in evaluation, the number of the draw.
    """

    def __init__(
        self,
        distribution: tfp.distributions.Distribution,
        *,
        levels: int,
        add_noise: bool,
        l2: float,
        seed: tf.Variable,
    ) -> None:
        """See `FlowModel`; `seed` is an int64 scalar variable."""
        self._distribution = distribution
        self._levels = levels
        self._add_noise = add_noise
        self._l2 = l2
        self._seed = seed
        parts = (distribution, *distribution.submodules)
        regularized = [v for part in parts for v in getattr(part, "regularized_variables", ())]
        self._regularized = list({v.ref(): v for v in regularized}.values())  # A flow names those of its layers again.

    def log_prob(
        self, images: tf.Tensor, conditioning: tf.Tensor | None, *, stream: int, batch: tf.Tensor, draw: Any = 0
    ) -> tf.Tensor:
        """Returns the log density of `images` with their noise, nats [N].

        Args:
          images: tensor [N, H, W, C], this replica's share of the batch.
          conditioning: tensor [N, K] or None.
          stream: `TRAINING`, which also normalises with the batch's statistics, or `EVALUATION`.
          batch: int64 scalar, the number of the batch.
          draw: int64 scalar below 2 ** 31, the number of the draw.
        """
        pixels = self._pixels(images, stream, batch, draw)
        return image_log_prob(self._distribution, pixels, training=stream == TRAINING, conditioning=conditioning)

    def __call__(self, log_prob: tf.Tensor, weights: tf.Tensor | None) -> tf.Tensor:
        """Returns the objective, a scalar, for log densities [N] and weights [N] or None; N of 0 adds nothing."""
        weighted = log_prob if weights is None else log_prob * tf.cast(weights, log_prob.dtype)
        count = tf.cast(tf.maximum(tf.size(weighted), 1), weighted.dtype)
        return self.penalty() - tf.reduce_sum(weighted) / count

    def _pixels(self, images: tf.Tensor, stream: int, batch: tf.Tensor, draw: Any) -> tf.Tensor:
        dtype = self._distribution.dtype
        if not self._add_noise:
            return tf.cast(images, dtype)
        size, share = tf.shape(images)[0], {}
        if in_several_replicas():  # Each replica takes its rows of the noise of the whole batch.
            context = tf.distribute.get_replica_context()
            rows = context.num_replicas_in_sync * size
            share = {"first_row": context.replica_id_in_sync_group * size, "rows": rows}
        # The second number of the seed: the draw in the upper 32 bits, then the batch, the stream in the last bit.
        position = 2**32 * tf.cast(draw, tf.int64) + 2 * tf.identity(batch) + stream
        seed = tf.stack([tf.identity(self._seed), position])
        return tf.cast(dequantize(images, self._levels, seed=seed, **share), dtype)

    def penalty(self) -> tf.Tensor:
        """Returns the penalty, a scalar, nats per image."""
        if not self._regularized:
            return tf.zeros([], self._distribution.dtype)
        return 2 * self._l2 * tf.add_n([tf.nn.l2_loss(v) for v in self._regularized])
