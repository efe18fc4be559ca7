"""What stands between a masked image and the shift and scale of a coupling."""

import tensorflow as tf

from tfp_realnvp.batch_norm import image_shape
from tfp_realnvp.checks import check_int
from tfp_realnvp.masks import ChannelHalves, Checkerboard
from tfp_realnvp.residual_network import BatchNorm, ResidualNetwork


class CouplingNetwork(tf.Module):
    """A `ResidualNetwork` between the masked image and a coupling's shift and log-scale.

        h = batch_norm(b * x)                 offset only; masked zeros counted; only channels that condition
        h = 2 * h                             if the mask is spatial (a checkerboard leaves every other pixel 0)
        h = relu(concat[h, -h, b])            b only if the mask is spatial
        answer = network(h)                   at the channels that change, 0 at the others

    Any batch shape: images [..., H, W, C] -> [..., H, W, outputs * C].
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
          **network: `compute_dtype` of `ResidualNetwork`.
        """
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
        shape = tf.shape(x)
        h = tf.reshape(x, tf.concat([[-1], shape[-3:]], 0))
        h = tf.ensure_shape(
            h, [None if x.shape[:-3].num_elements() is None else x.shape[:-3].num_elements(), *x.shape[-3:]]
        )
        conditioning = self._flat_conditioning(conditioning, x.shape[:-3], shape[:-3])
        plane = self.mask(image_shape(h), h.dtype) if self.mask.spatial else None
        h = h[..., self._conditioning_channels]
        if self.norm_in is not None:
            h = self.norm_in(h, training=training, update=update_statistics)
        if self.mask.spatial:
            h = tf.concat([2 * h, -2 * h, tf.broadcast_to(plane, tf.concat([tf.shape(h)[:-1], [1]], 0))], -1)
        else:
            h = tf.concat([h, -h], -1)
        answer = self.network(tf.nn.relu(h), training, update_statistics, conditioning)
        answer = tf.concat(
            [tf.pad(part, [[0, 0], [0, 0], [0, 0], self._padding]) for part in tf.split(answer, self.outputs, -1)], -1
        )
        answer = tf.reshape(answer, tf.concat([shape[:-1], [self.outputs * self.channels]], 0))
        return tf.ensure_shape(answer, [*x.shape[:-1], self.outputs * self.channels])

    def _flat_conditioning(self, conditioning, static_batch, batch):
        """Checks the conditioning and returns it as [N, K] for the flattened batch."""
        if self.conditioning_size is None:
            if conditioning is not None:
                raise ValueError(
                    f"`conditioning` of shape {tf.convert_to_tensor(conditioning).shape} was given, but the flow is "
                    "unconditional; build it with `conditioning_size`, or leave it out."
                )
            return None
        size = self.conditioning_size
        if conditioning is None:
            raise ValueError(
                f"`conditioning`=None: the flow was built with `conditioning_size`={size} and needs a tensor [..., "
                f"{size}] with the images, e.g. `log_prob(x, bijector_kwargs={{'conditioning': c}})`."
            )
        conditioning = tf.convert_to_tensor(conditioning)
        rule = f"`conditioning` of shape {conditioning.shape}: must be [..., {size}] (`conditioning_size`)"
        if conditioning.shape.rank is None or conditioning.shape.rank < 1 or conditioning.shape[-1] != size:
            raise ValueError(f"{rule}; classes go in as one-hot vectors.")
        try:
            fits = tf.broadcast_static_shape(conditioning.shape[:-1], static_batch).is_compatible_with(static_batch)
        except ValueError:
            fits = False
        if not fits:
            raise ValueError(
                f"{rule} and broadcast against the images' batch shape {static_batch}; give one row an image."
            )
        flat = tf.broadcast_to(conditioning, tf.concat([batch, [size]], 0))
        return tf.reshape(flat, [-1, size])
