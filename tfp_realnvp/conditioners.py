"""What stands between a masked image and the shift and scale of a coupling."""

import tensorflow as tf

from tfp_realnvp.checks import check_int
from tfp_realnvp.description import parameters_of
from tfp_realnvp.masks import ChannelHalves, Checkerboard, image_shape
from tfp_realnvp.residual_network import BatchNorm, ResidualNetwork


class CouplingNetwork(tf.Module):
    """A `ResidualNetwork` between the masked image and a coupling's shift and log-scale.

        h = batch_norm(b * x)                 offset only; masked zeros counted; only channels that condition
        h = 2 * h                             if the mask is spatial (a checkerboard leaves every other pixel 0)
        h = relu(concat[h, -h, b])            b only if the mask is spatial
        answer = network(h)                   at the channels that change, 0 at the others

    Images [N, H, W, C] -> [N, H, W, outputs * C]; `AffineCoupling` flattens other batch shapes.
    """

    def __init__(
        self,
        mask,
        channels,
        width,
        residual_blocks,
        *,
        outputs=2,
        conditioning_size=None,
        batch_norm=True,
        dtype=tf.float32,
        name="network",
        statistics=None,
        **network,
    ):
        """Builds all variables.

        Args:
          mask: `Checkerboard` or `ChannelHalves`.
          channels: Python int, C.
          width: see `ResidualNetwork`, as `residual_blocks`, `conditioning_size`, `batch_norm`, `dtype`.
          residual_blocks: see there.
          outputs: Python int, answers per channel: 2 for shift and log-scale, 1 for an additive coupling.
          conditioning_size: see there.
          batch_norm: see there.
          dtype: see there.
          name: Python str.
          statistics: dict, `momentum` and `running_average` of `RunningStatistics`.
          **network: `compute_dtype` and `recompute_gradients` of `ResidualNetwork`.
        """
        self.parameters = parameters_of(locals())
        super().__init__(name=name)
        if not isinstance(mask, Checkerboard | ChannelHalves):
            raise TypeError(f"`mask`={mask!r}: must be a `Checkerboard()` or `ChannelHalves()`, an instance.")
        check_int("channels", channels, 1, meaning="the number of image channels C")
        check_int("outputs", outputs, 1, meaning="the answers per channel")
        self.mask = mask
        self.channels = channels
        self.outputs = outputs
        self.conditioning_size = conditioning_size
        self._conditioning_channels = mask.conditioning_channels(channels)
        changed = mask.changed_channels(channels)
        self._padding = [changed.start, channels - changed.stop]
        live = self._conditioning_channels.stop - self._conditioning_channels.start
        statistics = statistics or {}
        with tf.name_scope(name):
            self.norm_in = BatchNorm(live, dtype=dtype, name="norm_in", **statistics) if batch_norm else None
            self.network = ResidualNetwork(
                2 * live + mask.spatial,
                outputs * (changed.stop - changed.start),
                width,
                residual_blocks,
                conditioning_size=conditioning_size,
                batch_norm=batch_norm,
                dtype=dtype,
                name="residual",
                **statistics,
                **network,
            )

    def __call__(self, x, training=False, update_statistics=True, conditioning=None):
        """Maps the masked image b * x to shift and log-scale; see `AffineCoupling`."""
        if x.shape[-1] != self.channels:
            raise ValueError(
                f"images of shape {x.shape}: the last axis must be `channels`={self.channels}, as this network was "
                "built; build it for other channels or convert the images."
            )
        self._check_conditioning(conditioning)
        h = x[..., self._conditioning_channels]
        if self.norm_in is not None:
            h = self.norm_in(h, training=training, update=update_statistics)
        if self.mask.spatial:
            plane = self.mask(image_shape(x), h.dtype) * tf.ones_like(h[..., :1])
            h = tf.concat([2 * h, -2 * h, plane], -1)
        else:
            h = tf.concat([h, -h], -1)
        answer = self.network(tf.nn.relu(h), training, update_statistics, conditioning)
        if not any(self._padding):
            return answer
        return tf.concat(
            [tf.pad(part, [[0, 0], [0, 0], [0, 0], self._padding]) for part in tf.split(answer, self.outputs, -1)], -1
        )

    def _check_conditioning(self, conditioning):
        size = self.conditioning_size
        if conditioning is None and size is not None:
            raise ValueError(
                f"`conditioning`=None: the flow was built with `conditioning_size`={size} and needs a tensor [..., "
                f"{size}] with the images, e.g. `log_prob(x, bijector_kwargs={{'conditioning': c}})`."
            )
        if conditioning is not None and size is None:
            raise ValueError(
                f"`conditioning` of shape {conditioning.shape} was given, but the flow is unconditional; build it with "
                "`conditioning_size`, or leave it out."
            )
        if size is not None and conditioning.shape[-1] != size:
            raise ValueError(
                f"`conditioning` of shape {conditioning.shape}: must be [..., {size}] (`conditioning_size`); classes "
                "go in as one-hot vectors."
            )
