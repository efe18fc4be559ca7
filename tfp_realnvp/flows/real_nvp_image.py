"""Real NVP for images, composed from its parts (paper, section 3.6 and 4.1; released program)."""

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.bijectors.affine_coupling import AffineCoupling
from tfp_realnvp.bijectors.composition import Composition
from tfp_realnvp.bijectors.factor_out import FactorOut
from tfp_realnvp.bijectors.flow_batch_norm import FlowBatchNorm
from tfp_realnvp.bijectors.masks import ChannelHalves, Checkerboard
from tfp_realnvp.bijectors.pixel_logit import PixelLogit
from tfp_realnvp.bijectors.squeeze import Squeeze
from tfp_realnvp.checks import check_bool, check_float_type, check_int
from tfp_realnvp.flows.image_flow import ImageFlow, policy_compute_dtype
from tfp_realnvp.networks.coupling_network import CouplingNetwork
from tfp_realnvp.networks.options import NetworkOptions

# Where the paper and the authors' released program differ.
PRESETS: dict[str, dict[str, Any]] = {
    "paper": {"squash": "paper", "shift_first": False, "running_average": True},
    "released": {"squash": "released", "shift_first": True, "running_average": False},
}


class RealNVPImage(ImageFlow):
    """Real NVP between latents and pixels, both [..., H, W, C].

        level(i)    = 3 checkerboard couplings
                      -> squeeze -> 3 channel couplings -> unsqueeze
                      -> ordered squeeze -> FactorOut(level(i + 1)) -> ordered unsqueeze
        level(last) = 4 checkerboard couplings
        inverse:  latents = level(0).inverse(PixelLogit.inverse(pixels))
        forward:  pixels = PixelLogit.forward(level(0).forward(latents))
        log |det| of either = the sum of its parts'

    Each coupling is followed by a `FlowBatchNorm` of the part that it changed. `inverse` maps pixels in [0, levels)
    to latents (the paper's f), `forward` maps latents to pixels. Height and width are those of each call, and must be
    divisible by 2 ** (num_scales - 1).

    Keywords:
      training: Python bool. Normalise with the statistics of the batch, and move the running ones by one step. In
        `forward` this holds for the networks' own batch norms alone, and nothing moves, as in the released sampler:
        sampling is then no exact inverse, which helps samples much larger than the training images.
      conditioning: float tensor [..., conditioning_size] that broadcasts against the batch shape.

    Every method takes these two, and a distribution takes them as `bijector_kwargs={...}`. Another keyword in
    `bijector_kwargs` is refused. But TFP itself ignores, without a word, those that it gets beside
    it: `images.sample(4, temperature=0.7)` draws at temperature 1, and `images.log_prob(x, training=True)` does not
    train. Write `FlowModel(images).sample(4, temperature=0.7)`, or
    `images.copy(distribution=tfd.Sample(tfd.Normal(0.0, 0.7), sample_shape=[8, 8, 3]))`, which is a distribution on the
    same flow and its variables, and `images.log_prob(x, bijector_kwargs={"training": True})`.

    Samples can leave [0, levels) by a little, and the density of pixels outside, e.g. at -1 or 300, is finite: the
    sigmoid's range is 1 / 0.9 (preset "released") or 1 / 0.95 ("paper") times as wide as the images', see `PixelLogit`.
    `quantize` clips samples to [0, levels - 1].

    >>> flow = RealNVPImage(channels=3, num_scales=2, width=8, residual_blocks=1)
    >>> prior = tfd.Sample(tfd.Normal(0.0, 1.0), sample_shape=[8, 8, 3])
    >>> images = tfd.TransformedDistribution(prior, flow)
    >>> pixels = images.sample(2, seed=1)
    >>> pixels.shape, images.log_prob(pixels).shape
    (TensorShape([2, 8, 8, 3]), TensorShape([2]))

    Reference: Dinh, Sohl-Dickstein, Bengio: Density estimation using Real NVP, ICLR 2017, arXiv 1605.08803.
    """

    def __init__(
        self,
        channels: int = 3,
        *,
        num_scales: int = 2,
        width: int = 64,
        residual_blocks: int = 8,
        preset: str = "released",
        squash: str | None = None,
        shift_first: bool | None = None,
        running_average: bool | None = None,
        levels: int = 256,
        additive: bool = False,
        batch_norm: bool = True,
        momentum: float = 0.9,
        conditioning_size: int | None = None,
        dtype: tf.DType = tf.float32,
        compute_dtype: tf.DType | None = None,
        recompute_gradients: bool = False,
        validate_args: bool = False,
        name: str = "real_nvp_image",
    ) -> None:
        """Builds the flow and all its variables. The defaults are the paper's CIFAR-10 network.

        Args:
          channels: Python int, C.
          num_scales: Python int, at least 1.
          width: Python int, hidden channels of the first scale's networks; doubled at every scale, and for channel
            couplings.
          residual_blocks: Python int, the blocks of each network.
          preset: "paper" or "released"; it chooses those of the next three options that are None.
          squash: "paper" or "released", see `PixelLogit`.
          shift_first: Python bool, see `AffineCoupling`.
          running_average: Python bool, see `RunningStatistics` (appendix E).
          levels: Python int, pixel values lie in [0, levels).
          additive: Python bool; couplings that only shift.
          batch_norm: Python bool; False leaves out all batch norms, in the networks and between couplings.
          momentum: float in [0, 1), of the running statistics.
          conditioning_size: Python int K; condition every network on a vector [..., K].
          dtype: of pixels, latents, scales, statistics and variables.
          compute_dtype: of the networks' convolutions; `tf.bfloat16` is about twice as fast where hardware has it.
            Default: that of Keras' mixed precision policy, "mixed_bfloat16" or "mixed_float16", where one is set
            (`tf_keras.mixed_precision.set_global_policy`), else `dtype`.
          recompute_gradients: Python bool; keep only the couplings' inputs for the backward pass, and compute their
            networks anew, block by block. Gradients are the same. The memory of activations is a quarter for 4
            couplings and a twelfth for 16, and a step takes about 1.4 times as long. First derivatives only.
          validate_args: Python bool; check values at run time.
          name: Python str; the first part of every variable's name.

        Raises:
          ValueError, TypeError: for an argument out of range or of another type.
        """
        compute_dtype = policy_compute_dtype(dtype) if compute_dtype is None else compute_dtype
        parameters = dict(locals())
        check_int("channels", channels, 1, meaning="the number of image channels C, e.g. 3 for colour")
        check_int("num_scales", num_scales, 1, meaning="the levels of the flow, e.g. 2")
        check_int("width", width, 1, meaning="the hidden channels of the first scale, e.g. 32")
        check_bool("additive", additive)
        check_float_type("dtype", dtype)
        if preset not in PRESETS:
            raise ValueError(f"`preset`={preset!r}: must be one of {sorted(PRESETS)}, see `PRESETS`.")
        chosen = {"squash": squash, "shift_first": shift_first, "running_average": running_average}
        self.options: dict[str, Any] = {k: PRESETS[preset][k] if v is None else v for k, v in chosen.items()}
        self.channels = channels
        self.num_scales = num_scales
        self.num_squeezes = num_scales - 1
        self._residual_blocks = residual_blocks
        self._additive = additive
        self._network_options = NetworkOptions(
            conditioning_size=conditioning_size,
            batch_norm=batch_norm,
            momentum=momentum,
            running_average=self.options["running_average"],
            recompute_gradients=recompute_gradients,
            dtype=dtype,
            compute_dtype=compute_dtype,
        )
        with tf.name_scope(name) as name:
            logit = PixelLogit(levels, self.options["squash"], validate_args=validate_args)
            parts = [logit, self._level(0, channels, width, validate_args)]
            super().__init__(parts, parameters=parameters, name=name, dtype=dtype, validate_args=validate_args)

    def _level(self, scale: int, channels: int, width: int, validate_args: bool) -> Composition:
        """Returns the couplings of one scale and, inside a `FactorOut`, of all scales after it."""
        dtype = self._network_options.dtype
        last = scale == self.num_scales - 1
        with tf.name_scope(f"level_{scale}") as name:
            checkerboards = []
            for i in range(4 if last else 3):
                checkerboards += self._coupling(
                    f"checkerboard_{i}", Checkerboard(i % 2), channels, width, 0.0, validate_args
                )
            if last:
                return Composition(checkerboards, name=name, dtype=dtype)
            channelwise = []
            for i in range(3):
                channelwise += self._coupling(
                    f"channel_{i}", ChannelHalves(i % 2), 4 * channels, 2 * width, 1.0, validate_args
                )
            squeeze = Squeeze(validate_args=validate_args)
            ordered_squeeze = Squeeze(ordered=True, validate_args=validate_args)
            parts = [
                *checkerboards,
                tfp.bijectors.Invert(squeeze),
                *channelwise,
                squeeze,
                tfp.bijectors.Invert(ordered_squeeze),
            ]
        # Outside of the name scope, so that variables are named by their own level and not by all levels above it.
        following = self._level(scale + 1, 2 * channels, 2 * width, validate_args)
        factor_out = FactorOut(following, name=f"factor_out_{scale}")
        return Composition([*parts, factor_out, ordered_squeeze], name=name, dtype=dtype)

    def _coupling(
        self, name: str, mask: Any, channels: int, width: int, gain: float, validate_args: bool
    ) -> list[tfp.bijectors.Bijector]:
        """Returns a coupling and, if there are batch norms, the one of the part that it changes."""
        options = self._network_options
        common: dict[str, Any] = {"recompute_gradients": options.recompute_gradients, "dtype": options.dtype}
        outputs = 1 if self._additive else 2
        with tf.name_scope(name):
            network = CouplingNetwork(mask, channels, width, self._residual_blocks, options, outputs=outputs)
            coupling = AffineCoupling(
                mask,
                network,
                shift_first=self.options["shift_first"],
                additive=self._additive,
                gain=gain,
                offset=not options.batch_norm,
                validate_args=validate_args,
                name="coupling",
                **common,
            )
            if not options.batch_norm:
                return [coupling]
            momentum, running_average = options.momentum, options.running_average
            norm = FlowBatchNorm(
                channels, mask, momentum=momentum, running_average=running_average, name="output_norm", **common
            )
            return [coupling, norm]
