"""Residual networks without normalisation, which start at zero."""

from typing import Any

import tensorflow as tf

from tfp_realnvp.bijectors.masks import ChannelHalves, Checkerboard
from tfp_realnvp.checks import check_bool, check_float_type, check_int
from tfp_realnvp.networks.conditioner import Conditioner
from tfp_realnvp.networks.conditioning_bias import ConditioningBias
from tfp_realnvp.networks.convolution import Convolution
from tfp_realnvp.networks.options import check_compute_dtype
from tfp_realnvp.runtime.recomputation import recomputed

_LARGEST_INPUT = 5.0
_SLOPE = 0.1


class PlainNetwork(Conditioner):
    """Convolutions and shortcuts, between the masked image and a coupling's shift and log-scale.

        h = conv3x3(clip(b * x, -5, 5))                                 b: the mask; only channels that condition
        residual_blocks times:  h += conv1x1(leaky(conv3x3(leaky(h))))
        answer = conv1x1(leaky(h))                                      leaky(h) = max(h, h / 10)

    The last convolution of each block and of the network start at zero, and so does the answer: with `log_scale_bound`
    a coupling starts as the identity. Blocks that start at random let images unlike the first batch overflow in the
    first steps of a deep flow. So would, at any step, large values that each coupling makes larger for the next one:
    hence the clip, at five standard deviations of what an `ActNorm` gives. With ReLUs, whole networks went to where no
    image gives them a gradient, a sixth of them within 1,500 steps. There is no normalisation, which cost more
    time than it was worth, and so nothing that differs between training and evaluation. A conditioning vector becomes
    a bias of the first convolution's output.

    Images [N, H, W, C] -> [N, H, W, outputs * channels that change], see `Conditioner`.
    """

    def __init__(
        self,
        mask: Checkerboard | ChannelHalves,
        channels: int,
        width: int,
        residual_blocks: int,
        *,
        outputs: int = 2,
        conditioning_size: int | None = None,
        recompute_gradients: bool = False,
        dtype: tf.DType = tf.float32,
        compute_dtype: tf.DType | None = None,
        name: str = "network",
    ) -> None:
        """Builds all variables.

        Args:
          mask: `Checkerboard` or `ChannelHalves`.
          channels: Python int, C.
          width: Python int, channels of every hidden layer.
          residual_blocks: Python int, 0 or more.
          outputs: Python int, answers per channel: 2 for shift and log-scale, 1 for an additive coupling.
          conditioning_size, recompute_gradients, dtype, compute_dtype: see `NetworkOptions`.
          name: Python str.

        Raises:
          ValueError, TypeError: for an argument out of range or of another type.
        """
        super().__init__(mask, channels, outputs=outputs, conditioning_size=conditioning_size, name=name)
        check_int("width", width, 1, meaning="the channels of hidden layers, e.g. 64")
        check_int("residual_blocks", residual_blocks, 0, meaning="the blocks of each network, e.g. 1")
        check_bool("recompute_gradients", recompute_gradients)
        check_float_type("dtype", dtype)
        check_compute_dtype(compute_dtype, dtype)
        self._sizes = (width, residual_blocks)
        self._recompute_gradients = recompute_gradients
        self._dtypes = (dtype, compute_dtype)
        with tf.name_scope(name):
            self.conv_in = Convolution(self.num_inputs, width, 3, dtype=dtype, name="conv_in")
            self.conditioning_bias = ConditioningBias(conditioning_size, width, dtype)
            self.blocks = []
            for i in range(residual_blocks):
                with tf.name_scope(f"block_{i}"):
                    conv_0 = Convolution(width, width, 3, dtype=dtype, name="conv_0")
                    conv_1 = Convolution(width, width, 1, zero=True, dtype=dtype, name="conv_1")
                self.blocks.append([conv_0, conv_1])
            self.conv_out = Convolution(width, self.num_answers, 1, zero=True, dtype=dtype, name="conv_out")

    @property
    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments."""
        width, residual_blocks = self._sizes
        dtype, compute_dtype = self._dtypes
        return {
            "mask": self.mask,
            "channels": self.channels,
            "width": width,
            "residual_blocks": residual_blocks,
            "outputs": self.outputs,
            "conditioning_size": self.conditioning_size,
            "recompute_gradients": self._recompute_gradients,
            "dtype": dtype,
            "compute_dtype": compute_dtype,
            "name": self.name,
        }

    def _answer(self, x: tf.Tensor, training: bool, update_statistics: bool, conditioning: Any) -> tf.Tensor:
        dtype, compute_dtype = self._dtypes
        x = tf.clip_by_value(x, -_LARGEST_INPUT, _LARGEST_INPUT)
        h = self.conditioning_bias(self.conv_in(tf.cast(x, compute_dtype or dtype)), conditioning)
        for block in self.blocks:
            if self._recompute_gradients:
                h += recomputed(lambda h, block=block: _residual(h, *block), h)
            else:
                h += _residual(h, *block)
        return tf.cast(self.conv_out(_leaky(h)), dtype)


def _leaky(h: tf.Tensor) -> tf.Tensor:
    """Returns max(h, _SLOPE * h).

    TensorFlow with oneDNN, its default on many processors, takes `tf.nn.leaky_relu` and `tf.maximum` into the
    convolution before them even where others read that convolution's answer. Then it reports an error, optimizes the
    graph no further, and computes other numbers: a trained flow had 5.90 bits/dim in the place of 3.53 (2.21).
    """
    one = tf.ones([], h.dtype)
    return h * tf.where(h > 0, one, _SLOPE * one)


def _residual(h: tf.Tensor, conv_0: Convolution, conv_1: Convolution) -> tf.Tensor:
    return conv_1(_leaky(conv_0(_leaky(h))))
