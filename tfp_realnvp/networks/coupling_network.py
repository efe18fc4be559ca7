"""The network between a masked image and the shift and log-scale of a coupling."""

from typing import Any

import tensorflow as tf

from tfp_realnvp.bijectors.masks import ChannelHalves, Checkerboard, image_shape
from tfp_realnvp.checks import check_channels, check_int
from tfp_realnvp.keywords import Conditioning, check_conditioning
from tfp_realnvp.networks.batch_norm import BatchNorm
from tfp_realnvp.networks.options import NetworkOptions
from tfp_realnvp.networks.residual_network import ResidualNetwork


class CouplingNetwork(tf.Module):
    """A `ResidualNetwork` between the masked image and a coupling's shift and log-scale.

        h = batch_norm(b * x)                 b: the mask; only channels that condition; masked zeros count
        h = 2 * h                             if the mask is spatial (a checkerboard leaves every other pixel 0)
        h = relu(concat[h, -h, b])            b only if the mask is spatial
        answer = network(h)                   at the channels that change, 0 at the others

    Images [N, H, W, C] -> [N, H, W, outputs * C]; `AffineCoupling` flattens other batch shapes.
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
        super().__init__(name=name)
        if not isinstance(mask, Checkerboard | ChannelHalves):
            raise TypeError(f"`mask`={mask!r}: must be a `Checkerboard()` or `ChannelHalves()`, an instance.")
        check_int("channels", channels, 1, meaning="the number of image channels C")
        check_int("outputs", outputs, 1, meaning="the answers per channel")
        self.options = options = options or NetworkOptions()
        self._sizes = (width, residual_blocks)
        self.mask = mask
        self.channels = channels
        self.outputs = outputs
        self.conditioning_size = options.conditioning_size
        self._conditioning_channels = mask.conditioning_channels(channels)
        changed = mask.changed_channels(channels)
        self._padding = [changed.start, channels - changed.stop]
        num_inputs = self._conditioning_channels.stop - self._conditioning_channels.start
        num_answers = outputs * (changed.stop - changed.start)
        with tf.name_scope(name):
            self.norm_in = BatchNorm(num_inputs, options, name="norm_in") if options.batch_norm else None
            self.network = ResidualNetwork(
                2 * num_inputs + mask.spatial, num_answers, width, residual_blocks, options, name="residual"
            )

    @property
    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments."""
        width, residual_blocks = self._sizes
        sizes = {"channels": self.channels, "width": width, "residual_blocks": residual_blocks}
        return {"mask": self.mask, **sizes, "options": self.options, "outputs": self.outputs, "name": self.name}

    def __call__(
        self, x: tf.Tensor, training: bool = False, update_statistics: bool = True, conditioning: Any = None
    ) -> tf.Tensor:
        """Maps the masked image b * x to shift and log-scale; see `AffineCoupling`."""
        check_channels("images", x.shape, self.channels)
        shape = None if conditioning is None else conditioning.shape
        takes = Conditioning(self.conditioning_size is not None, self.conditioning_size)
        check_conditioning("`conditioning`", shape, takes)
        h = x[..., self._conditioning_channels]
        if self.norm_in is not None:
            h = self.norm_in(h, training=training, update_statistics=update_statistics)
        if self.mask.spatial:
            plane = self.mask(image_shape(x), h.dtype) * tf.ones_like(h[..., :1])
            h = tf.concat([2 * h, -2 * h, plane], -1)
        else:
            h = tf.concat([h, -h], -1)
        answer = self.network(tf.nn.relu(h), training, update_statistics, conditioning)
        if not any(self._padding):
            return answer
        parts = tf.split(answer, self.outputs, -1)
        return tf.concat([tf.pad(part, [[0, 0], [0, 0], [0, 0], self._padding]) for part in parts], -1)
