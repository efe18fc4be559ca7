"""A conditioning vector as a bias of a layer's outputs."""

from typing import Any

import tensorflow as tf

from tfp_realnvp.runtime.variables import late_variable


class ConditioningBias(tf.Module):
    """Adds a linear map of the conditioning vector to all positions of an image; its weights start at zero."""

    def __init__(self, size: int | None, channels: int, dtype: tf.DType, name: str = "conditioning_bias") -> None:
        """Builds the weights.

        Args:
          size: Python int K, length of the vector; None for no conditioning, and no weights.
          channels: Python int.
          dtype: of the weights.
          name: Python str.
        """
        super().__init__(name=name)
        self.dtype = dtype
        self.weights = None
        if size is not None:
            shape = [size, channels]
            self.weights = late_variable(lambda: tf.zeros(shape, dtype), "conditioning_weights", shape, dtype)

    def __call__(self, x: tf.Tensor, conditioning: Any) -> tf.Tensor:
        """Returns `x` [N, H, W, channels] plus the bias of `conditioning` [N, K], in the dtype of `x`."""
        if self.weights is None:
            return x
        bias = tf.matmul(tf.cast(conditioning, self.dtype), self.weights)
        return x + tf.cast(bias, x.dtype)[:, tf.newaxis, tf.newaxis, :]
