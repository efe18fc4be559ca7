"""Weight-normalised residual networks (paper, section 4.1, and released program)."""

import math

import tensorflow as tf

from tfp_realnvp.batch_norm import RunningStatistics
from tfp_realnvp.checks import check_bool, check_float_type, check_int
from tfp_realnvp.description import parameters_of
from tfp_realnvp.recomputation import recomputed
from tfp_realnvp.replicas import in_several_replicas


class WeightNormConv(tf.Module):
    """Convolution, stride 1, zero padding, with filters normalised per output channel (Salimans & Kingma 2016).

    w = gain * filters / ||filters||; without a learned gain the filters have unit norm.
    """

    def __init__(self, channels_in, channels_out, size, *, gain=False, bias=False, dtype=tf.float32, name="conv"):
        """Builds the variables: filters from U(-r, r), r = sqrt(2 / channels_in); gains so that outputs start small."""
        super().__init__(name=name)
        limit = math.sqrt(2.0 / channels_in)
        with tf.name_scope(name):
            self.filters = tf.Variable(
                tf.random.uniform([size, size, channels_in, channels_out], -limit, limit, dtype), name="filters"
            )
            self.gain = (
                tf.Variable(
                    tf.fill([channels_out], tf.cast(limit * math.sqrt(channels_in * size**2 / 12), dtype)), name="gain"
                )
                if gain
                else None
            )
            self.bias = tf.Variable(tf.zeros([channels_out], dtype), name="bias") if bias else None

    def __call__(self, x, norm=None):
        """Maps [N, H, W, channels_in] to [N, H, W, channels_out] in the dtype of `x`.

        With `norm`, a `BatchNorm`, the output is normalised by its running statistics, at no cost: they are folded
        into filters and bias.
        """
        filters = tf.convert_to_tensor(self.filters)
        squares = tf.reshape(filters**2, [-1, filters.shape[-1]])
        # Summed by a product with ones, in half the time of reduce_sum.
        scale = tf.math.rsqrt(tf.matmul(tf.ones([1, squares.shape[0]], squares.dtype), squares)[0])
        if self.gain is not None:
            scale *= self.gain
        bias = self.bias
        if norm is not None:
            norm_scale, shift = norm.affine(*norm.statistics.running())
            scale *= norm_scale
            bias = shift if bias is None else bias * norm_scale + shift
        y = tf.nn.conv2d(x, tf.cast(filters * scale, x.dtype), strides=1, padding="SAME")
        return y if bias is None else tf.nn.bias_add(y, tf.cast(bias, x.dtype))


class BatchNorm(tf.Module):
    """Batch normalisation inside a network: an offset, no gain; statistics as in `RunningStatistics`."""

    def __init__(self, channels, *, epsilon=1e-4, dtype=tf.float32, name="batch_norm", **statistics):
        """Args: **statistics: `momentum` and `running_average` of `RunningStatistics`."""
        super().__init__(name=name)
        self.epsilon = epsilon
        with tf.name_scope(name):
            self.offset = tf.Variable(tf.zeros([channels], dtype), name="offset")
            self.statistics = RunningStatistics(channels, dtype=dtype, **statistics)

    def __call__(self, x, *, training, update):
        """Normalises [N, H, W, C], in the dtype of `x`, with statistics in this module's own."""
        own = self.offset.dtype
        fusable = own == tf.float32 and x.dtype.size <= own.size
        if training and fusable and not self.statistics.running_average and not in_several_replicas():
            return self._fused(x, update)
        mean, variance = self.statistics(x, training=training, update=update)
        if not training and fusable:
            return self._kernel(x, is_training=False, mean=mean, variance=variance)[0]
        scale, shift = self.affine(mean, variance)
        return x * tf.cast(scale, x.dtype) + tf.cast(shift, x.dtype)

    def affine(self, mean, variance):
        """Scale and shift [C] that normalise what has these statistics."""
        scale = tf.math.rsqrt(variance + self.epsilon)
        return scale, self.offset - mean * scale

    def _fused(self, x, update):
        """The same with the batch's own statistics."""
        y, mean, variance = self._kernel(x, is_training=True)
        if update:
            count = tf.cast(tf.size(x) // x.shape[-1], variance.dtype)
            self.statistics.blend(mean, variance * (count - 1) / count, update=True)  # The kernel divides by n - 1.
        return y

    def _kernel(self, x, **options):
        """The same in one kernel, forward and backward, a ReLU behind it included: half the time on a CPU."""
        offset = tf.convert_to_tensor(self.offset)
        return tf.compat.v1.nn.fused_batch_norm(x, tf.ones_like(offset), offset, epsilon=self.epsilon, **options)


class ResidualNetwork(tf.Module):
    """The residual network of the released program.

        h = conv3x3(x);  taps = conv1x1(h)
        residual_blocks times:  h += conv3x3(relu(bn(conv3x3(relu(bn(h))))));  taps += conv1x1(h)
        answer = conv1x1(relu(bn(taps)))

    All convolutions are weight-normalised; the second of each block, the taps and the last have a learned gain.
    A conditioning vector enters as a learned bias of the first convolution's output, zero at the start.
    """

    def __init__(
        self,
        channels_in,
        channels_out,
        width,
        residual_blocks,
        *,
        conditioning_size=None,
        batch_norm=True,
        compute_dtype=None,
        recompute_gradients=False,
        dtype=tf.float32,
        name="residual_network",
        **statistics,
    ):
        """Builds all variables.

        Args:
          channels_in: Python int.
          channels_out: Python int.
          width: Python int, channels of every hidden layer.
          residual_blocks: Python int, 0 or more.
          conditioning_size: Python int K, or None for an unconditional network.
          batch_norm: Python bool; False leaves out every normalisation and gives the convolutions biases.
          compute_dtype: of the convolutions, e.g. `tf.bfloat16`; default `dtype`. Variables, statistics and the answer
            stay in `dtype`.
          recompute_gradients: Python bool; keep only each block's input for the backward pass, and compute the block
            from it anew.
          dtype: of the variables.
          name: Python str.
          **statistics: `momentum` and `running_average` of `RunningStatistics`.
        """
        self.parameters = parameters_of(locals())
        super().__init__(name=name)
        check_int("channels_in", channels_in, 1)
        check_int("channels_out", channels_out, 1)
        check_int("width", width, 1, meaning="the channels of hidden layers, e.g. 32")
        check_int("residual_blocks", residual_blocks, 0, meaning="the blocks of each network, e.g. 2")
        if conditioning_size is not None:
            check_int(
                "conditioning_size",
                conditioning_size,
                1,
                meaning="the length of a conditioning vector; None for an unconditional network",
            )
        check_bool("batch_norm", batch_norm)
        check_bool("recompute_gradients", recompute_gradients)
        check_float_type("dtype", dtype)
        if compute_dtype is not None:
            check_float_type("compute_dtype", compute_dtype)
        self.dtype = tf.as_dtype(dtype)
        self.compute_dtype = tf.as_dtype(compute_dtype or dtype)
        self.conditioning_size = conditioning_size
        self.recompute_gradients = recompute_gradients

        def norm(name):
            return BatchNorm(width, dtype=dtype, name=name, **statistics) if batch_norm else None

        def tap(name):
            return WeightNormConv(width, width, 1, gain=True, bias=True, dtype=dtype, name=name)

        with tf.name_scope(name):
            self.conv_in = WeightNormConv(channels_in, width, 3, bias=True, dtype=dtype, name="conv_in")
            self.conditioning_weights = (
                tf.Variable(tf.zeros([conditioning_size, width], dtype), name="conditioning_weights")
                if conditioning_size
                else None
            )
            self.tap_in = tap("tap_in")
            self.blocks, self.taps = [], []
            for i in range(residual_blocks):
                with tf.name_scope(f"block_{i}"):
                    self.blocks.append(
                        [
                            norm("norm_0"),
                            WeightNormConv(width, width, 3, bias=not batch_norm, dtype=dtype, name="conv_0"),
                            norm("norm_1"),
                            WeightNormConv(width, width, 3, gain=True, bias=True, dtype=dtype, name="conv_1"),
                        ]
                    )
                self.taps.append(tap(f"tap_{i}"))
            self.norm_out = norm("norm_out")
            self.conv_out = WeightNormConv(width, channels_out, 1, gain=True, bias=True, dtype=dtype, name="conv_out")

    def __call__(self, x, training=False, update_statistics=True, conditioning=None):
        """Maps [N, H, W, channels_in] to [N, H, W, channels_out]; conditioning is [N, K] or None."""

        def normalized(norm, h):
            return tf.nn.relu(h if norm is None else norm(h, training=training, update=update_statistics))

        def residual(h, norm_0, conv_0, norm_1, conv_1):
            h = normalized(norm_0, h)
            return conv_1(normalized(norm_1, conv_0(h)) if training else tf.nn.relu(conv_0(h, norm_1)))

        h = self.conv_in(tf.cast(x, self.compute_dtype))
        if self.conditioning_weights is not None:
            bias = tf.matmul(tf.cast(conditioning, self.dtype), self.conditioning_weights)
            h += tf.cast(bias, self.compute_dtype)[:, tf.newaxis, tf.newaxis, :]
        taps = self.tap_in(h)
        for block, tap in zip(self.blocks, self.taps, strict=True):
            if self.recompute_gradients:
                h += recomputed(lambda h, block=block: residual(h, *block), h)
            else:
                h += residual(h, *block)
            taps += tap(h)
        return tf.cast(self.conv_out(normalized(self.norm_out, taps)), self.dtype)
