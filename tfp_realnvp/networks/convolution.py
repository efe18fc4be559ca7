"""Convolutions without normalisation."""

import math

import tensorflow as tf

from tfp_realnvp.runtime.variables import late_variable


class Convolution(tf.Module):
    """Convolution, stride 1, zero padding, with a bias; the filters start random (He et al. 2015), or at zero."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        size: int,
        *,
        zero: bool = False,
        dtype: tf.DType = tf.float32,
        name: str = "conv",
    ) -> None:
        """Builds the variables: filters from N(0, 2 / (size^2 channels_in)) or 0; biases of 0."""
        super().__init__(name=name)
        deviation = math.sqrt(2.0 / (channels_in * size**2))
        shape = [size, size, channels_in, channels_out]

        def filters() -> tf.Tensor:
            return tf.zeros(shape, dtype) if zero else tf.random.normal(shape, 0.0, deviation, dtype)

        def vector() -> tf.Tensor:
            return tf.zeros([channels_out], dtype)

        with tf.name_scope(name):
            self.filters = late_variable(filters, "filters", shape, dtype)
            self.bias = late_variable(vector, "bias", [channels_out], dtype)

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """Maps [N, H, W, channels_in] to [N, H, W, channels_out] in the dtype of `x`."""
        filters, bias = tf.cast(self.filters, x.dtype), tf.cast(self.bias, x.dtype)
        return tf.nn.bias_add(convolve(x, filters), bias)


def convolve(x: tf.Tensor, filters: tf.Tensor) -> tf.Tensor:
    """Returns the convolution of images [N, H, W, channels_in] with `filters`, stride 1, zero padding."""
    if x.shape[0] == 0:  # TensorFlow 2.21 then returns the shape of x on some processors; any linear map will do.
        return tf.tensordot(x, filters[0, 0], 1)
    return tf.nn.conv2d(x, filters, strides=1, padding="SAME")
