"""What a training step asks of an optimizer of tf_keras."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras

LEGACY = tf_keras.optimizers.legacy.Optimizer


class Steps:
    """An `OptimizerOfKeras`: an optimizer of tf_keras, with or without loss scaling."""

    def __init__(self, optimizer: Any, variables: Sequence[tf.Variable]) -> None:
        self._optimizer, self._variables = optimizer, variables
        scales = isinstance(optimizer, tf_keras.mixed_precision.LossScaleOptimizer)
        self._scaling = optimizer if scales else None

    def step(self) -> tf.Tensor:
        return tf.cast(self._optimizer.iterations, tf.int64)

    def scaled(self, loss: tf.Tensor) -> tf.Tensor:
        return loss if self._scaling is None else self._scaling.get_scaled_loss(loss)

    def unscaled(self, gradients: list[tf.Tensor]) -> list[tf.Tensor]:
        return gradients if self._scaling is None else self._scaling.get_unscaled_gradients(gradients)

    def may_overflow(self) -> Any:
        return False if self._scaling is None else self._scaling.loss_scale > 1

    def apply(self, gradients: list[tf.Tensor]) -> None:
        aggregated = {} if isinstance(self._optimizer, LEGACY) else {"skip_gradients_aggregation": True}
        self._optimizer.apply_gradients(zip(gradients, self._variables, strict=True), **aggregated)
