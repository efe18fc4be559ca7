"""Glow for images, in a form for few operations: squeeze first, mix channels, narrow networks (Kingma & Dhariwal)."""

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.bijectors.act_norm import ActNorm
from tfp_realnvp.bijectors.affine_coupling import AffineCoupling
from tfp_realnvp.bijectors.channel_mixing import ChannelMixing
from tfp_realnvp.bijectors.composition import Composition
from tfp_realnvp.bijectors.factor_out import FactorOut
from tfp_realnvp.bijectors.masks import ChannelHalves
from tfp_realnvp.bijectors.pixel_logit import PixelLogit
from tfp_realnvp.bijectors.squeeze import Squeeze
from tfp_realnvp.checks import check_float_type, check_int
from tfp_realnvp.flows.image_flow import ImageFlow, policy_compute_dtype
from tfp_realnvp.networks.conditioner import Conditioner
from tfp_realnvp.networks.plain_network import PlainNetwork
from tfp_realnvp.networks.zero_network import ZeroNetwork


class GlowImage(ImageFlow):
    """A flow between latents and pixels, both [..., H, W, C], whose couplings all work on squeezed images.

        level(i)    = squeeze -> steps -> split prior -> FactorOut(level(i + 1)) -> unsqueeze
        level(last) = squeeze -> steps -> unsqueeze
        step        = ActNorm -> ChannelMixing -> AffineCoupling of one half of the channels by a PlainNetwork
        split prior = AffineCoupling by a ZeroNetwork: what is factored out gets mean and log-scale from what is kept
        inverse:  latents = level(0).inverse(PixelLogit.inverse(pixels))
        forward:  pixels = PixelLogit.forward(level(0).forward(latents))
        log |det| of either = the sum of its parts'

    A checkerboard coupling of `RealNVPImage` computes half of its positions for nothing; here every position counts,
    and learned mixings take the place of alternating masks. Nothing differs between training and evaluation. The
    `ActNorm`s start from data, see `initialize_from_data`, which `FlowModel.fit` calls. Height and width are those of
    each call, and must be divisible by 2 ** num_scales.

    Every method takes the keywords `training`, which changes nothing here, and `conditioning`. The docstring of
    `RealNVPImage` says what these mean, and why samples may lie outside of [0, levels).

    >>> flow = GlowImage(channels=3, num_scales=2, depth=2, width=8)
    >>> prior = tfd.Sample(tfd.Normal(0.0, 1.0), sample_shape=[8, 8, 3])
    >>> images = tfd.TransformedDistribution(prior, flow)
    >>> images.log_prob(tf.fill([2, 8, 8, 3], 100.5)).shape
    TensorShape([2])
    >>> [part.shape.as_list() for part in split_latents(tf.zeros([8, 8, 3]), flow.num_scales)]
    [[4, 4, 6], [4, 4, 6]]

    Reference: Kingma & Dhariwal 2018, arXiv 1807.03039; prior of what is factored out as in its program.
    """

    def __init__(
        self,
        channels: int = 3,
        *,
        num_scales: int = 3,
        depth: int = 16,
        width: int = 64,
        residual_blocks: int = 1,
        log_scale_bound: float = 1.0,
        squash: str = "released",
        levels: int = 256,
        conditioning_size: int | None = None,
        dtype: tf.DType = tf.float32,
        compute_dtype: tf.DType | None = None,
        recompute_gradients: bool = False,
        validate_args: bool = False,
        name: str = "glow_image",
    ) -> None:
        """Builds the flow and all its variables.

        Args:
          channels: Python int, C.
          num_scales: Python int, at least 1.
          depth: Python int, the steps of the first level. Each further level has half as many, but at least one: its
            images are a quarter as large, and a step there gains less for its time.
          width: Python int, hidden channels of every network.
          residual_blocks: Python int, the blocks of each network.
          log_scale_bound: float, see `AffineCoupling`.
          squash: "paper" or "released", see `PixelLogit`.
          levels: Python int, pixel values lie in [0, levels).
          conditioning_size: Python int K; condition the networks of the couplings on a vector [..., K].
          dtype, compute_dtype, recompute_gradients, validate_args: see `RealNVPImage`.
          name: Python str; the first part of every variable's name.

        Raises:
          ValueError, TypeError: for an argument out of range or of another type.
        """
        compute_dtype = policy_compute_dtype(dtype) if compute_dtype is None else compute_dtype
        parameters = dict(locals())
        check_int("channels", channels, 1, meaning="the number of image channels C, e.g. 3 for colour")
        check_int("num_scales", num_scales, 1, meaning="the levels of the flow, e.g. 3")
        check_int("depth", depth, 1, meaning="the steps of the first level, e.g. 16")
        check_float_type("dtype", dtype)
        self.channels = channels
        self.num_scales = num_scales
        self.num_squeezes = num_scales
        self._depth = depth
        self._coupling_options = {
            "log_scale_bound": log_scale_bound,
            "recompute_gradients": recompute_gradients,
            "dtype": dtype,
            "validate_args": validate_args,
        }
        self._network_options = {
            "width": width,
            "residual_blocks": residual_blocks,
            "conditioning_size": conditioning_size,
            "recompute_gradients": recompute_gradients,
            "dtype": dtype,
            "compute_dtype": compute_dtype,
        }
        with tf.name_scope(name) as name:
            logit = PixelLogit(levels, squash, validate_args=validate_args)
            parts = [logit, self._level(0, channels)]
            super().__init__(parts, parameters=parameters, name=name, dtype=dtype, validate_args=validate_args)

    def _level(self, scale: int, channels: int) -> Composition:
        """Returns the steps of one scale and, inside a `FactorOut`, of all scales after it."""
        dtype, validate_args = self._coupling_options["dtype"], self._coupling_options["validate_args"]
        last = scale == self.num_scales - 1
        squeeze = Squeeze(ordered=True, validate_args=validate_args)
        with tf.name_scope(f"level_{scale}") as name:
            parts = [tfp.bijectors.Invert(squeeze)]
            for i in range(max(1, self._depth >> scale)):
                with tf.name_scope(f"step_{i}"):
                    parts += self._step(4 * channels)
            if not last:
                parts += self._split_prior(4 * channels)
        if not last:  # Outside of the name scope, so that variables are named by their own level alone.
            parts.append(FactorOut(self._level(scale + 1, 2 * channels), name=f"factor_out_{scale}"))
        return Composition([*parts, squeeze], name=name, dtype=dtype)

    def _step(self, channels: int) -> list[tfp.bijectors.Bijector]:
        dtype = self._coupling_options["dtype"]
        half = ChannelHalves(0)  # Always the same one, since the channels are mixed before.
        coupling = AffineCoupling(half, self._network(half, channels), name="coupling", **self._coupling_options)
        return [ActNorm(channels, dtype=dtype), ChannelMixing(channels, dtype=dtype), coupling]

    def _network(self, mask: ChannelHalves, channels: int) -> Conditioner:
        return PlainNetwork(mask, channels, **self._network_options)

    def _split_prior(self, channels: int) -> list[tfp.bijectors.Bijector]:
        """Returns what gives the channels that are factored out a mean and a log-scale from those that are kept."""
        half = ChannelHalves(0)
        size, dtype = self._network_options["conditioning_size"], self._coupling_options["dtype"]
        network = ZeroNetwork(half, channels, conditioning_size=size, dtype=dtype)
        return [AffineCoupling(half, network, name="split_prior", **self._coupling_options)]
