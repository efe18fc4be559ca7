"""A single convolution that starts at zero, as a conditioner."""

from typing import Any

import tensorflow as tf

from tfp_realnvp.bijectors.masks import ChannelHalves, Checkerboard
from tfp_realnvp.checks import check_float_type
from tfp_realnvp.networks.conditioner import Conditioner
from tfp_realnvp.networks.conditioning_bias import ConditioningBias
from tfp_realnvp.networks.convolution import Convolution


class ZeroNetwork(Conditioner):
    """One 3x3 convolution, which starts at zero, between the masked image and a coupling's shift and log-scale.

    An `AffineCoupling` of it, before a `FactorOut`, gives what is factored out a normal distribution whose mean and
    log-scale are predicted from what is kept: a split prior.

    Images [N, H, W, C] -> [N, H, W, 2 * channels that change], see `Conditioner`.

    Reference: Kingma & Dhariwal 2018, the released program.
    """

    def __init__(
        self,
        mask: Checkerboard | ChannelHalves,
        channels: int,
        *,
        conditioning_size: int | None = None,
        dtype: tf.DType = tf.float32,
        name: str = "network",
    ) -> None:
        """Builds the convolution.

        Args:
          mask: `Checkerboard` or `ChannelHalves`.
          channels: Python int, C.
          conditioning_size: Python int K, or None; a vector [K] is mapped to a bias, by weights that start at zero.
          dtype: of variables and answer.
          name: Python str.

        Raises:
          ValueError, TypeError: for an argument out of range or of another type.
        """
        super().__init__(mask, channels, conditioning_size=conditioning_size, name=name)
        check_float_type("dtype", dtype)
        self.dtype = dtype
        with tf.name_scope(name):
            self.conditioning_bias = ConditioningBias(conditioning_size, self.num_answers, dtype)
            self.conv = Convolution(self.num_inputs, self.num_answers, 3, zero=True, dtype=dtype, name="conv")

    @property
    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "mask": self.mask,
            "channels": self.channels,
            "conditioning_size": self.conditioning_size,
            "dtype": self.dtype,
            "name": self.name,
        }

    def _answer(self, x: tf.Tensor, training: bool, update_statistics: bool, conditioning: Any) -> tf.Tensor:
        return self.conditioning_bias(self.conv(tf.cast(x, self.dtype)), conditioning)
