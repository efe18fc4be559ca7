"""Weight-normalised convolutions."""

import math

import tensorflow as tf

from tfp_realnvp.networks.batch_norm import BatchNorm
from tfp_realnvp.networks.convolution import convolve
from tfp_realnvp.runtime.variables import late_variable


class WeightNormConv(tf.Module):
    """Convolution, stride 1, zero padding, with filters normalised per output channel (Salimans & Kingma 2016).

    w = gain * filters / ||filters||; without a learned gain the filters have unit norm.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        size: int,
        *,
        gain: bool = False,
        bias: bool = False,
        dtype: tf.DType = tf.float32,
        name: str = "conv",
    ) -> None:
        """Builds the variables: filters from U(-r, r), r = sqrt(2 / channels_in); gains so that outputs start small."""
        super().__init__(name=name)
        limit = math.sqrt(2.0 / channels_in)
        start = limit * math.sqrt(channels_in * size**2 / 12)
        shape = [size, size, channels_in, channels_out]

        def filters() -> tf.Tensor:
            return tf.random.uniform(shape, -limit, limit, dtype)

        def vector(value: float, name: str) -> tf.Variable:
            outputs = [channels_out]
            return late_variable(lambda: tf.fill(outputs, tf.cast(value, dtype)), name, outputs, dtype)

        with tf.name_scope(name):
            self.filters = late_variable(filters, "filters", shape, dtype)
            self.gain = vector(start, "gain") if gain else None
            self.bias = vector(0.0, "bias") if bias else None

    @property
    def regularized_variables(self) -> tuple[tf.Variable, ...]:
        """The learned gain, which training penalises."""
        return () if self.gain is None else (self.gain,)

    def __call__(self, x: tf.Tensor, norm: BatchNorm | None = None) -> tf.Tensor:
        """Maps [N, H, W, channels_in] to [N, H, W, channels_out] in the dtype of `x`.

        With `norm`, the output is normalised by the running statistics of this batch norm, at no cost: scale and shift
        are folded into filters and bias.
        """
        filters = tf.convert_to_tensor(self.filters)
        squares = tf.reshape(filters**2, [-1, filters.shape[-1]])
        # The product with ones sums the squares in half the time that reduce_sum takes.
        scale = tf.math.rsqrt(tf.matmul(tf.ones([1, squares.shape[0]], squares.dtype), squares)[0])
        if self.gain is not None:
            scale *= self.gain
        bias = self.bias
        if norm is not None:
            norm_scale, shift = norm.affine(*norm.statistics.running())
            scale *= norm_scale
            bias = shift if bias is None else bias * norm_scale + shift
        filters = tf.cast(filters * scale, x.dtype)
        y = convolve(x, filters)
        return y if bias is None else tf.nn.bias_add(y, tf.cast(bias, x.dtype))
