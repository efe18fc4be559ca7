"""Weight-normalised residual networks (paper, section 4.1, and released program)."""

from typing import Any

import tensorflow as tf

from tfp_realnvp.checks import check_int
from tfp_realnvp.networks.batch_norm import BatchNorm
from tfp_realnvp.networks.conditioning_bias import ConditioningBias
from tfp_realnvp.networks.options import NetworkOptions
from tfp_realnvp.networks.weight_norm_conv import WeightNormConv
from tfp_realnvp.runtime.recomputation import recomputed


class ResidualNetwork(tf.Module):
    """The residual network of the released program.

        h = conv3x3(x);  taps = conv1x1(h)
        residual_blocks times:  h += conv3x3(relu(bn(conv3x3(relu(bn(h))))));  taps += conv1x1(h)
        answer = conv1x1(relu(bn(taps)))

    All convolutions are weight-normalised; the second of each block, the taps and the last have a learned gain. A
    conditioning vector is mapped to a bias of the first convolution's output, by learned weights that start at zero.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        width: int,
        residual_blocks: int,
        options: NetworkOptions | None = None,
        *,
        name: str = "residual_network",
    ) -> None:
        """Builds all variables.

        Args:
          channels_in: Python int.
          channels_out: Python int.
          width: Python int, channels of every hidden layer.
          residual_blocks: Python int, 0 or more.
          options: see `NetworkOptions`; None for its defaults.
          name: Python str.

        Raises:
          ValueError: for a size out of range.
        """
        super().__init__(name=name)
        check_int("channels_in", channels_in, 1)
        check_int("channels_out", channels_out, 1)
        check_int("width", width, 1, meaning="the channels of hidden layers, e.g. 32")
        check_int("residual_blocks", residual_blocks, 0, meaning="the blocks of each network, e.g. 2")
        self.options = options = options or NetworkOptions()
        self._sizes = (channels_in, channels_out, width, residual_blocks)
        self.conditioning_size = options.conditioning_size
        self.dtype = tf.as_dtype(options.dtype)
        self.compute_dtype = tf.as_dtype(options.compute_dtype or options.dtype)
        dtype, size = options.dtype, options.conditioning_size

        def norm(name: str) -> BatchNorm | None:
            return BatchNorm(width, options, name=name) if options.batch_norm else None

        def conv(channels_in: int, channels_out: int, size: int, **parts: Any) -> WeightNormConv:
            return WeightNormConv(channels_in, channels_out, size, dtype=dtype, **parts)

        with tf.name_scope(name):
            self.conv_in = conv(channels_in, width, 3, bias=True, name="conv_in")
            self.conditioning_bias = ConditioningBias(size, width, dtype)
            self.tap_in = conv(width, width, 1, gain=True, bias=True, name="tap_in")
            self.blocks, self.taps = [], []
            for i in range(residual_blocks):
                with tf.name_scope(f"block_{i}"):
                    norm_0, conv_0 = norm("norm_0"), conv(width, width, 3, bias=not options.batch_norm, name="conv_0")
                    norm_1, conv_1 = norm("norm_1"), conv(width, width, 3, gain=True, bias=True, name="conv_1")
                self.blocks.append([norm_0, conv_0, norm_1, conv_1])
                self.taps.append(conv(width, width, 1, gain=True, bias=True, name=f"tap_{i}"))
            self.norm_out = norm("norm_out")
            self.conv_out = conv(width, channels_out, 1, gain=True, bias=True, name="conv_out")

    @property
    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments."""
        names = ("channels_in", "channels_out", "width", "residual_blocks")
        return dict(zip(names, self._sizes, strict=True)) | {"options": self.options, "name": self.name}

    def __call__(
        self, x: tf.Tensor, training: bool = False, update_statistics: bool = True, conditioning: Any = None
    ) -> tf.Tensor:
        """Maps [N, H, W, channels_in] to [N, H, W, channels_out]; conditioning is [N, K] or None."""

        def normalized(norm: BatchNorm | None, h: tf.Tensor) -> tf.Tensor:
            return tf.nn.relu(h if norm is None else norm(h, training=training, update_statistics=update_statistics))

        def residual(h: tf.Tensor, block: list[Any]) -> tf.Tensor:
            norm_0, conv_0, norm_1, conv_1 = block
            h = normalized(norm_0, h)
            return conv_1(normalized(norm_1, conv_0(h)) if training else tf.nn.relu(conv_0(h, norm_1)))

        h = self.conditioning_bias(self.conv_in(tf.cast(x, self.compute_dtype)), conditioning)
        taps = self.tap_in(h)
        for block, tap in zip(self.blocks, self.taps, strict=True):
            if self.options.recompute_gradients:
                h += recomputed(lambda h, block=block: residual(h, block), h)
            else:
                h += residual(h, block)
            taps += tap(h)
        return tf.cast(self.conv_out(normalized(self.norm_out, taps)), self.dtype)
