"""Real NVP for images, composed from its parts (paper, section 3.6 and 4.1; released program)."""

import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tfp_realnvp.batch_norm import FlowBatchNorm
from tfp_realnvp.checks import check_bool, check_int
from tfp_realnvp.conditioners import CouplingNetwork
from tfp_realnvp.coupling import AffineCoupling
from tfp_realnvp.factor_out import FactorOut
from tfp_realnvp.image_bijector import Composition
from tfp_realnvp.masks import ChannelHalves, Checkerboard
from tfp_realnvp.pixel_logit import PixelLogit
from tfp_realnvp.squeeze import Squeeze

# Where the paper and the authors' released program differ.
PRESETS = {
    "paper": {"squash": "paper", "shift_first": False, "running_average": True},
    "released": {"squash": "released", "shift_first": True, "running_average": False},
}


class RealNVPImage(Composition):
    """Real NVP between latents and pixels, both [..., H, W, C].

        level(i)    = 3 checkerboard couplings
                      -> squeeze -> 3 channel couplings -> unsqueeze
                      -> ordered squeeze -> FactorOut(level(i + 1)) -> ordered unsqueeze
        level(last) = 4 checkerboard couplings
        inverse     = PixelLogit -> level(0)

    Each coupling is followed by a `FlowBatchNorm` of the part that it changed. `inverse` maps pixels in [0, levels)
    to latents (the paper's f), `forward` latents to pixels. Height and width are those of each call, and must be
    divisible by 2 ** (num_scales - 1).

    Call-time keywords of every method, through a distribution as `bijector_kwargs={...}`:
      training: Python bool. Normalise with the statistics of the batch, and update the running ones once. In
        `forward` only the networks' own batch norms do so and nothing is updated, as in the released sampler:
        sampling is then no exact inverse, which helps samples much larger than the training images.
      conditioning: float tensor [..., conditioning_size] that broadcasts against the batch shape.

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
        channels=3,
        *,
        num_scales=2,
        width=64,
        residual_blocks=8,
        preset="released",
        squash=None,
        shift_first=None,
        running_average=None,
        levels=256,
        additive=False,
        batch_norm=True,
        momentum=0.9,
        conditioning_size=None,
        dtype=tf.float32,
        compute_dtype=None,
        recompute_gradients=False,
        validate_args=False,
        name="real_nvp_image",
    ):
        """Builds the flow and all its variables. The defaults are the paper's CIFAR-10 network.

        Args:
          channels: Python int, C.
          num_scales: Python int, at least 1.
          width: Python int, hidden channels of the first scale's networks; doubled at every scale, and for channel
            couplings.
          residual_blocks: Python int, of each network.
          preset: "paper" or "released"; sets the three options below where they are None.
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
            networks anew, block by block: an eighth to a third of the memory at any number of couplings, for about
            1.45 times the time of a step; the same gradients. First derivatives only.
          validate_args: Python bool; check values at run time.
          name: Python str; the first part of every variable's name.

        Raises:
          ValueError: for a wrong preset, squash or number.
        """
        compute_dtype = _of_policy(dtype) if compute_dtype is None else compute_dtype
        parameters = dict(locals())
        check_int("channels", channels, 1, meaning="the number of image channels C, e.g. 3 for colour")
        check_int("num_scales", num_scales, 1, meaning="the levels of the flow, e.g. 2")
        check_int("width", width, 1, meaning="the hidden channels of the first scale, e.g. 32")
        check_bool("additive", additive)
        check_bool("batch_norm", batch_norm)
        check_bool("recompute_gradients", recompute_gradients)
        if preset not in PRESETS:
            raise ValueError(f"`preset`={preset!r}: must be one of {sorted(PRESETS)}, see `PRESETS`.")
        chosen = {"squash": squash, "shift_first": shift_first, "running_average": running_average}
        self.options = {k: PRESETS[preset][k] if v is None else v for k, v in chosen.items()}
        self.channels = channels
        self.num_scales = num_scales
        self._coupling_options = {
            "shift_first": self.options["shift_first"],
            "additive": additive,
            "offset": not batch_norm,
            "recompute_gradients": recompute_gradients,
            "dtype": dtype,
            "validate_args": validate_args,
        }
        self._network_options = {
            "residual_blocks": residual_blocks,
            "outputs": 1 if additive else 2,
            "conditioning_size": conditioning_size,
            "batch_norm": batch_norm,
            "statistics": {"momentum": momentum, "running_average": self.options["running_average"]},
            "compute_dtype": compute_dtype,
            "recompute_gradients": recompute_gradients,
            "dtype": dtype,
        }
        with tf.name_scope(name) as name:
            logit = PixelLogit(levels, self.options["squash"], validate_args=validate_args)
            parts = [logit, self._level(0, channels, width)]
            super().__init__(parts, parameters=parameters, name=name, dtype=dtype, validate_args=validate_args)

    def _level(self, scale, channels, width):
        """The couplings of one scale, and, by way of `FactorOut`, of all that follow."""
        last = scale == self.num_scales - 1
        with tf.name_scope(f"level_{scale}") as name:
            checkerboards = []
            for i in range(4 if last else 3):
                checkerboards += self._coupling(f"checkerboard_{i}", Checkerboard(i % 2), channels, width, gain=0.0)
            if last:
                return Composition(checkerboards, name=name, dtype=self._coupling_options["dtype"])
            channelwise = []
            for i in range(3):
                channelwise += self._coupling(f"channel_{i}", ChannelHalves(i % 2), 4 * channels, 2 * width, gain=1.0)
            validate_args = self._coupling_options["validate_args"]
            squeeze = Squeeze(validate_args=validate_args)
            ordered_squeeze = Squeeze(ordered=True, validate_args=validate_args)
            parts = [
                *checkerboards,
                tfp.bijectors.Invert(squeeze),
                *channelwise,
                squeeze,
                tfp.bijectors.Invert(ordered_squeeze),
            ]
        # Outside the name scope: a level's variables are named by the level alone, not by all levels above it.
        factor_out = FactorOut(self._level(scale + 1, 2 * channels, 2 * width), name=f"factor_out_{scale}")
        return Composition([*parts, factor_out, ordered_squeeze], name=name, dtype=self._coupling_options["dtype"])

    def _coupling(self, name, mask, channels, width, gain):
        with tf.name_scope(name):
            network = CouplingNetwork(mask, channels, width, **self._network_options)
            parts = [AffineCoupling(mask, network, gain=gain, name="coupling", **self._coupling_options)]
            if self._network_options["batch_norm"]:
                options = {k: self._coupling_options[k] for k in ("recompute_gradients", "dtype")}
                options |= self._network_options["statistics"]
                parts.append(FlowBatchNorm(channels, mask, name="output_norm", **options))
        return parts

    def _check_input(self, x, training):
        super()._check_input(x, training)
        self._check_shape("input", x.shape)

    def _forward_event_shape(self, shape):
        # Here too, so that a prior of a shape that can't be squeezed is refused before any image arrives.
        self._check_shape("event", shape)
        return shape

    _inverse_event_shape = _forward_event_shape

    def _check_shape(self, what, shape):
        if shape.rank is None or shape.rank < 3:
            return
        if shape[-1] is not None and shape[-1] != self.channels:
            raise ValueError(
                f"{self.name}: {what} of shape {shape}: the last axis must be `channels`={self.channels}; convert the "
                "images or build the flow for their channels."
            )
        divisor = self.size_divisor
        sizes = shape[-3:-1].as_list()
        if any(size is not None and size % divisor for size in sizes):
            raise ValueError(
                f"{self.name}: {what} of shape {shape}: height and width must be divisible by 2 ** (num_scales - 1) "
                f"= {divisor}; resize or crop the images, or lower `num_scales`={self.num_scales}."
            )

    @property
    def size_divisor(self):
        """Height and width of images must be multiples of this."""
        return 2 ** (self.num_scales - 1)

    @property
    def regularized_variables(self):
        """Weight-norm gains and checkerboards' tanh gains, penalised by 5e-5 * sum(v ** 2) in training."""
        gains = [m.gain for m in self.submodules if getattr(m, "gain", None) is not None]
        tanh_gains = [
            m.log_scale_gain
            for m in self.submodules
            if isinstance(m, AffineCoupling) and isinstance(m.mask, Checkerboard) and m.log_scale_gain is not None
        ]
        return tuple(gains + tanh_gains)


def _of_policy(dtype):
    """The compute dtype of Keras' policy, if that is a mixed one for variables of `dtype`."""
    policy = tf_keras.mixed_precision.global_policy()
    mixed = policy.compute_dtype != policy.variable_dtype == tf.as_dtype(dtype).name
    return tf.as_dtype(policy.compute_dtype) if mixed else None
