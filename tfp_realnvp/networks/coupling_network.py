"""The network between a masked image and the shift and log-scale of a coupling."""

from typing import Any

import tensorflow as tf

from tfp_realnvp.bijectors.masks import ChannelHalves, Checkerboard, image_shape
from tfp_realnvp.networks.batch_norm import BatchNorm
from tfp_realnvp.networks.conditioner import Conditioner
from tfp_realnvp.networks.options import NetworkOptions
from tfp_realnvp.networks.residual_network import ResidualNetwork


class CouplingNetwork(Conditioner):
    """A `ResidualNetwork` between the masked image and a coupling's shift and log-scale.

        h = batch_norm(b * x)                 b: the mask; only channels that condition; masked zeros count
        h = 2 * h                             if the mask is spatial (a checkerboard leaves every other pixel 0)
        h = relu(concat[h, -h, b])            b only if the mask is spatial
        answer = network(h)

    Images [N, H, W, C] -> [N, H, W, outputs * channels that change], see `Conditioner`.
    """

    def __init__(
        self,
        mask: Checkerboard | ChannelHalves,
        channels: int,
        width: int,
        residual_blocks: int,
        options: NetworkOptions | None = None,
        *,
        outputs: int = 2,
        name: str = "network",
    ) -> None:
        """Builds all variables.

        Args:
          mask: `Checkerboard` or `ChannelHalves`.
          channels: Python int, C.
          width: Python int, channels of every hidden layer.
          residual_blocks: Python int, 0 or more.
          options: see `NetworkOptions`; None for its defaults.
          outputs: Python int, answers per channel: 2 for shift and log-scale, 1 for an additive coupling.
          name: Python str.

        Raises:
          ValueError, TypeError: for a size out of range, or another mask.
        """
        options = options or NetworkOptions()
        super().__init__(mask, channels, outputs=outputs, conditioning_size=options.conditioning_size, name=name)
        self.options = options
        self._sizes = (width, residual_blocks)
        num_inputs = self.num_inputs
        with tf.name_scope(name):
            self.norm_in = BatchNorm(num_inputs, options, name="norm_in") if options.batch_norm else None
            self.network = ResidualNetwork(
                2 * num_inputs + mask.spatial, self.num_answers, width, residual_blocks, options, name="residual"
            )

    @property
    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments."""
        width, residual_blocks = self._sizes
        sizes = {"channels": self.channels, "width": width, "residual_blocks": residual_blocks}
        return {"mask": self.mask, **sizes, "options": self.options, "outputs": self.outputs, "name": self.name}

    def _answer(self, x: tf.Tensor, training: bool, update_statistics: bool, conditioning: Any) -> tf.Tensor:
        h = x if self.norm_in is None else self.norm_in(x, training=training, update_statistics=update_statistics)
        if self.mask.spatial:
            plane = self.mask(image_shape(x), h.dtype) * tf.ones_like(h[..., :1])
            h = tf.concat([2 * h, -2 * h, plane], -1)
        else:
            h = tf.concat([h, -h], -1)
        return self.network(tf.nn.relu(h), training, update_statistics, conditioning)
