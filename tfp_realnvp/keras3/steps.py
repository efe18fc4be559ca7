"""What a training step asks of an optimizer of Keras 3."""

from typing import Any

import keras
import tensorflow as tf


def sums_no_gradients(optimizer: Any) -> None:
    """Makes an optimizer take gradients as they are: they were summed over the replicas, and are clipped as sums.

    Keras 3 has no public way to say so.
    """
    getattr(optimizer, "inner_optimizer", optimizer)._all_reduce_sum_gradients = lambda pairs: pairs


class Steps:
    """An `OptimizerOfKeras`: an optimizer of Keras 3, with or without loss scaling."""

    def __init__(self, optimizer: keras.optimizers.Optimizer, variables: list[keras.Variable]) -> None:
        self._optimizer, self._variables = optimizer, variables
        scales = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        self._scaling = optimizer if scales else None
        self._inner = optimizer.inner_optimizer if scales else optimizer

    def step(self) -> tf.Tensor:
        return tf.cast(self._inner.iterations.value, tf.int64)

    def scaled(self, loss: tf.Tensor) -> tf.Tensor:
        return loss if self._scaling is None else self._scaling.scale_loss(loss)

    def unscaled(self, gradients: list[tf.Tensor]) -> list[tf.Tensor]:
        if self._scaling is None:
            return gradients
        return [g / tf.cast(self._scaling.dynamic_scale.value, g.dtype) for g in gradients]

    def may_overflow(self) -> Any:
        return False if self._scaling is None else self._scaling.dynamic_scale.value > 1

    def apply(self, gradients: list[tf.Tensor]) -> None:
        if self._scaling is not None:  # It divides by its scale, a power of two, itself.
            gradients = [g * tf.cast(self._scaling.dynamic_scale.value, g.dtype) for g in gradients]
        self._optimizer.apply(gradients, self._variables)
