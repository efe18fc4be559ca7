"""The first training step that was not finite, and which layer or gradient that came from."""

from typing import Any

import tensorflow as tf

from tfp_realnvp.runtime.observation import LayerRecord
from tfp_realnvp.runtime.replicas import replica_local


class Failure(tf.Module):
    """Remembers the first training step whose loss or gradients were not finite, and where that came from."""

    def __init__(self, name: str = "failure") -> None:
        super().__init__(name=name)
        self._layers: list[str] = []
        self._weights: list[str] = []
        with tf.name_scope(name):
            # Step, index of the layer, index of the weight; -1 for none.
            self._where = replica_local(lambda: tf.constant([-1, -1, -1], tf.int64), "where", [3])

    def reset(self) -> None:
        """Forgets a failure."""
        self._where.assign([-1, -1, -1])

    def check(
        self,
        step: tf.Tensor,
        loss: tf.Tensor,
        record: LayerRecord,
        squares: tf.Tensor,
        variables: list[tf.Variable],
        gradients_may_overflow: Any = False,
    ) -> tf.Tensor:
        """Notes a failure of this step; returns whether this step and all earlier ones were finite, a scalar bool.

        Args:
          step: int64 scalar, counted from 0.
          loss: scalar.
          record: the layers of the step.
          squares: float32 [G], the `squared_norms` of the gradients, which were summed over the replicas.
          variables: the G variables that the gradients belong to.
          gradients_may_overflow: bool or scalar bool; gradients that are not finite are then no failure.
        """
        self._layers = list(record.names)
        self._weights = [v.name for v in variables]
        layers = tf.math.is_finite(tf.stack([*record.sums, tf.cast(loss, tf.float32)]))
        # Backpropagation walks from the last layer to the first, so the last gradient in the list failed first.
        # Squares are checked, since clipping by the norm makes NaN of finite gradients whose norm is infinite.
        weights = tf.math.is_finite(tf.reverse(squares, [0])) | gradients_may_overflow
        norm = tf.math.is_finite(tf.reduce_sum(squares)) | gradients_may_overflow
        finite = tf.reduce_all(layers) & tf.reduce_all(weights) & norm
        found = tf.stack([step, _first_false(layers), _first_false(weights)])
        earlier = tf.identity(self._where)
        none_before = earlier[0] < 0
        self._where.assign(tf.where(none_before & ~finite, found, earlier))
        return finite & none_before

    def raise_if_any(self) -> None:
        """Raises FloatingPointError, which names step and cause, if a step has failed."""
        step, layer, weight = (int(i) for i in self._where.numpy())
        if step < 0:
            return
        if 0 <= layer < len(self._layers):
            cause = f"the output of layer {self._layers[layer]!r}"
        elif layer >= 0:
            cause = "the likelihood" + (", though every layer's output was finite" if self._layers else "")
        elif weight < 0:
            cause = "the gradients' global norm, though every gradient was finite"
        else:
            cause = f"the gradient of {self._weights[len(self._weights) - 1 - weight]!r}"
        raise FloatingPointError(
            f"step {step + 1}: not finite: {cause}. No weight was changed by this step. Check the images, lower the "
            "learning rate or the clip norm, and go on from the last checkpoint."
        )


def squared_norms(gradients: list[tf.Tensor]) -> tf.Tensor:
    """Returns the sum of squares of each of G gradients, float32 [G]."""
    return 2 * tf.stack([tf.nn.l2_loss(tf.cast(g, tf.float32)) for g in gradients])


def _first_false(flags: tf.Tensor) -> tf.Tensor:
    """Returns the index of the first False, or -1."""
    index = tf.argmin(tf.cast(flags, tf.int32), output_type=tf.int64)
    return tf.where(tf.reduce_all(flags), tf.constant(-1, tf.int64), index)
