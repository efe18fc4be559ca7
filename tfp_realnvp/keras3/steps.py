"""What a training step asks of an optimizer of Keras 3."""

from typing import Any

import keras
import tensorflow as tf


def check_optimizer(optimizer: Any) -> None:
    """Raises TypeError or ValueError for what is no optimizer of Keras 3, or one whose steps are not a model's."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    if not isinstance(inner, str | keras.optimizers.Optimizer | None):
        raise TypeError(f"`optimizer`={optimizer!r}: must be an instance of one of `keras.optimizers`, or its name.")
    if getattr(inner, "gradient_accumulation_steps", None) or type(inner).__name__ == "MultiOptimizer":
        raise ValueError(
            "`optimizer`: must take one step for each batch, by which noise is numbered, and clip all gradients "
            "together: no `gradient_accumulation_steps`, since a flow built with `recompute_gradients=True` trains on "
            "larger batches in the same memory, and no `MultiOptimizer`."
        )


def check_several_replicas(model: Any) -> None:
    """Raises ValueError for what Keras 3 can't do under several replicas."""
    inner = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    asked = model.steps_per_execution > 1 or model.jit_compile or inner.ema_overwrite_frequency
    if asked and model.distribute_strategy.num_replicas_in_sync > 1:
        raise ValueError(
            "`steps_per_execution`, `jit_compile` and `ema_overwrite_frequency`: Keras 3 fails at each of them under "
            "several replicas; leave them out, or take `tfp_realnvp.FlowModel`, of tf_keras."
        )


def sums_no_gradients(optimizer: Any) -> None:
    """Makes an optimizer take gradients as they are, summed over the replicas. Keras 3 has no public way to say so."""
    getattr(optimizer, "inner_optimizer", optimizer)._all_reduce_sum_gradients = lambda pairs: pairs


class Steps:
    """An `OptimizerOfKeras`: an optimizer of Keras 3, with or without loss scaling."""

    def __init__(self, optimizer: keras.optimizers.Optimizer, variables: list[keras.Variable]) -> None:
        self._optimizer, self._variables = optimizer, variables
        self._scales = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        self._iterations = optimizer.iterations
        scales = self._scales or optimizer.loss_scale_factor is not None
        self._scale: Any = tf.convert_to_tensor(optimizer.scale_loss(tf.ones([]))) if scales else None

    def step(self) -> tf.Tensor:
        return tf.cast(self._iterations.value, tf.int64)

    def scaled(self, loss: tf.Tensor) -> tf.Tensor:
        return loss if self._scale is None else loss * tf.cast(self._scale, loss.dtype)

    def unscaled(self, gradients: list[tf.Tensor]) -> list[tf.Tensor]:
        return gradients if self._scale is None else [g / tf.cast(self._scale, g.dtype) for g in gradients]

    def may_overflow(self) -> Any:
        return self._scales and self._scale > 1

    def apply(self, gradients: list[tf.Tensor]) -> None:
        if self._scale is not None:  # `apply` divides by it again.
            gradients = [g * tf.cast(self._scale, g.dtype) for g in gradients]
        self._optimizer.apply(gradients, self._variables)
