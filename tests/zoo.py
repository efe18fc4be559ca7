"""The dictionary `ZOO` names the bijectors that every law is tested over.

All variables are moved away from their start, because a gain of 0 or a mean of 0 would let a wrong sign pass.
"""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tfp_realnvp import (
    ActNorm,
    AffineCoupling,
    ChannelHalves,
    ChannelMixing,
    Checkerboard,
    Composition,
    CouplingNetwork,
    FactorOut,
    FlowBatchNorm,
    GlowImage,
    NetworkOptions,
    PixelLogit,
    PlainNetwork,
    RealNVPImage,
    Squeeze,
    ZeroNetwork,
)

tfb = tfp.bijectors


@dataclasses.dataclass(frozen=True)
class Entry:
    """A bijector and what goes into it."""

    make: Callable  # It takes a dtype and returns a bijector.
    image_shape: tuple  # This is the shape that `forward` returns.
    latent_shape: tuple  # This is the shape that `forward` takes.
    conditioning_size: int | None = None
    levels: int | None = None  # Images are in [0, levels), or any real numbers for None.

    @functools.cache  # noqa: B019 (entries live as long as the module)
    def bijector(self, dtype):
        tf.random.set_seed(0)
        bijector = self.make(dtype)
        for i, v in enumerate(bijector.variables):
            if not v.dtype.is_floating or "signs" in v.name:
                continue
            noise = tf.cast(tf.random.stateless_normal(v.shape, [i, 0]), dtype)
            v.assign(v * tf.exp(0.3 * noise) if "variance" in v.name else v + 0.2 * noise)
        return bijector

    def images(self, batch_shape, dtype, seed=0):
        random = np.random.RandomState(seed)
        shape = (*batch_shape, *self.image_shape)
        x = random.randn(*shape) if self.levels is None else random.uniform(0, self.levels, shape)
        return tf.constant(x, dtype)

    def latents(self, batch_shape, dtype, seed=1):
        return tf.constant(np.random.RandomState(seed).randn(*batch_shape, *self.latent_shape), dtype)

    def keywords(self, batch_shape, dtype, seed=2):
        if self.conditioning_size is None:
            return {}
        vectors = np.random.RandomState(seed).randn(*batch_shape, self.conditioning_size)
        return {"conditioning": tf.constant(vectors, dtype)}


def _network_coupling(mask, channels, dtype, outputs=2, **options):
    network = CouplingNetwork(mask, channels, 3, 1, NetworkOptions(dtype=dtype), outputs=outputs)
    return AffineCoupling(mask, network, dtype=dtype, **options)


def _coupling(mask, shape=(4, 4, 3), **options):
    return Entry(lambda dtype: _network_coupling(mask, shape[-1], dtype, **options), shape, shape)


def _with_conditioner(mask, conditioner, shape):
    """A coupling whose conditioner is not of this package; `conditioner` is a function of the dtype."""
    return Entry(lambda dtype: AffineCoupling(mask, conditioner(dtype), dtype=dtype), shape, shape)


def _neighbours(h):
    # Without the roll, the changed positions would see nothing but the zeros of the mask. The axes of [N, H, W, C] are
    # counted from the left, since `tf.vectorized_map` rolls another axis if they are negative (TensorFlow 2.21).
    h = tf.roll(h, 1, 2) + tf.roll(h, 1, 3)
    return tf.concat([tf.sin(h), tf.cos(h)], -1)


def _keras_layer(dtype):
    layer = tf_keras.layers.Dense(6, activation="tanh", dtype=dtype)
    layer.build([None, None, None, 3])
    return layer


def _act_norm(dtype):
    norm = ActNorm(2, dtype=dtype)
    norm.initialize(norm.bias, norm.log_scale)
    return norm


def _batch_norm(mask, channels=3):
    shape = (4, 4, channels)
    return Entry(lambda dtype: FlowBatchNorm(channels, mask, dtype=dtype), shape, shape)


def _pixel_logit(levels, squash):
    return Entry(lambda dtype: PixelLogit(levels, squash), (2, 3, 2), (2, 3, 2), levels=levels)


def _mixed_parts(dtype):
    return [
        _network_coupling(Checkerboard(0), 1, dtype, shift_first=True),
        FlowBatchNorm(1, Checkerboard(0), dtype=dtype),
        tfb.Invert(Squeeze()),
        _network_coupling(ChannelHalves(1), 4, dtype),
        Squeeze(),
    ]


def _flow(shape=(4, 4, 3), levels=256, residual_blocks=0, **options):
    def make(dtype):
        return RealNVPImage(shape[-1], width=2, residual_blocks=residual_blocks, levels=levels, dtype=dtype, **options)

    return Entry(make, shape, shape, options.get("conditioning_size"), levels)


def _glow(shape, levels=256, depth=1, **options):
    def make(dtype):
        # Random log-scales of up to 2 a step take pixels so near to 0 and `levels` that float64 can't invert them.
        options.setdefault("log_scale_bound", 0.5)
        flow = GlowImage(shape[-1], width=3, depth=depth, levels=levels, dtype=dtype, **options)
        for module in flow.submodules:
            if isinstance(module, ActNorm):
                module.initialize(module.bias, module.log_scale)
        return flow

    return Entry(make, shape, shape, options.get("conditioning_size"), levels)


def _plain_coupling(dtype):
    network = PlainNetwork(ChannelHalves(1), 4, 3, 2, dtype=dtype)
    return AffineCoupling(ChannelHalves(1), network, log_scale_bound=2.0, dtype=dtype)


def _split_prior(dtype):
    network = ZeroNetwork(ChannelHalves(0), 4, dtype=dtype)
    return AffineCoupling(ChannelHalves(0), network, log_scale_bound=2.0, dtype=dtype)


ZOO = {
    "squeeze": Entry(lambda dtype: Squeeze(), (2, 3, 8), (4, 6, 2)),
    "squeeze_ordered": Entry(lambda dtype: Squeeze(ordered=True), (2, 3, 8), (4, 6, 2)),
    "unsqueeze": Entry(lambda dtype: tfb.Invert(Squeeze()), (4, 6, 2), (2, 3, 8)),
    "unsqueeze_ordered": Entry(lambda dtype: tfb.Invert(Squeeze(ordered=True)), (4, 6, 2), (2, 3, 8)),
    "checkerboard_scale_first": _coupling(Checkerboard(0)),
    "checkerboard_shift_first": _coupling(Checkerboard(1), shift_first=True),
    "checkerboard_odd": _coupling(Checkerboard(0), (3, 5, 1), shift_first=True),
    "checkerboard_odd_parity_1": _coupling(Checkerboard(1), (3, 5, 1)),
    "checkerboard_additive": _coupling(Checkerboard(0), additive=True, outputs=1),
    "channel_scale_first": _coupling(ChannelHalves(0), (3, 5, 4)),
    "channel_shift_first": _coupling(ChannelHalves(1), (3, 5, 4), shift_first=True),
    "channel_offset": _coupling(ChannelHalves(0), shift_first=True, offset=True),  # Halves of 3 channels.
    "channel_additive": _coupling(ChannelHalves(1), additive=True, outputs=1),
    "coupling_plain_callable": _with_conditioner(Checkerboard(1), lambda dtype: _neighbours, (3, 5, 2)),
    "coupling_array_mask": _with_conditioner(np.array([1.0, 0.0, 1.0]), lambda dtype: _neighbours, (3, 4, 3)),
    "coupling_keras_layer": _with_conditioner(ChannelHalves(0), _keras_layer, (3, 4, 3)),
    "channel_bounded": _coupling(ChannelHalves(0), (3, 4, 4), log_scale_bound=0.7),
    "act_norm": Entry(_act_norm, (3, 5, 2), (3, 5, 2)),
    "channel_mixing": Entry(lambda dtype: ChannelMixing(5, dtype=dtype), (3, 4, 5), (3, 4, 5)),
    "batch_norm": _batch_norm(0.0),
    "batch_norm_checkerboard": _batch_norm(Checkerboard(1)),
    "batch_norm_channel": _batch_norm(ChannelHalves(0), channels=4),
    "factor_out": Entry(lambda dtype: FactorOut(_network_coupling(Checkerboard(0), 2, dtype)), (4, 4, 4), (4, 4, 4)),
    "factor_out_of_tfb": Entry(
        lambda dtype: FactorOut(tfb.SinhArcsinh(tf.constant(0.3, dtype), tf.constant(1.2, dtype))), (2, 3, 4), (2, 3, 4)
    ),
    **{
        f"pixel_logit_{squash}_{levels}": _pixel_logit(levels, squash)
        for squash in ("paper", "released")
        for levels in (256, 17, 2)
    },
    "composition": Entry(lambda dtype: Composition(_mixed_parts(dtype), name="mixed", dtype=dtype), *[(4, 4, 1)] * 2),
    "glow_1": _glow((4, 2, 3), num_scales=1, levels=17),
    "glow_recomputed": _glow((2, 4, 1), num_scales=1, depth=2, recompute_gradients=True),
    "glow_conditional": _glow((4, 4, 1), num_scales=2, conditioning_size=3),
    "plain_network": Entry(_plain_coupling, (3, 5, 4), (3, 5, 4)),
    "split_prior": Entry(_split_prior, (3, 5, 4), (3, 5, 4)),
    "chain": Entry(lambda dtype: tfb.Chain(_mixed_parts(dtype)), (4, 4, 1), (4, 4, 1)),
    "flow_paper_1": _flow((3, 5, 1), num_scales=1, residual_blocks=2, preset="paper"),
    "flow_paper_2": _flow(num_scales=2, preset="paper"),
    "flow_released_1": _flow(num_scales=1, residual_blocks=1, preset="released"),
    "flow_released_2": _flow((4, 6, 1), num_scales=2, preset="released"),
    "flow_released_3": _flow((8, 4, 1), num_scales=3, preset="released"),
    "flow_additive": _flow(num_scales=1, additive=True, levels=17),
    "flow_without_batch_norm": _flow(num_scales=1, residual_blocks=1, batch_norm=False),
    "flow_recomputed": _flow((4, 4, 1), num_scales=1, residual_blocks=1, preset="paper", recompute_gradients=True),
    "flow_conditional": _flow((4, 4, 1), num_scales=2, conditioning_size=3),
}

every = pytest.mark.parametrize("entry", [pytest.param(entry, id=name) for name, entry in ZOO.items()])
# One bijector of each class, with its options in turn: for what costs much, and is written once for a class.
every_class = pytest.mark.parametrize(
    "entry",
    [
        pytest.param(ZOO[name], id=name)
        for name in (
            "squeeze",
            "unsqueeze_ordered",
            "pixel_logit_paper_17",
            "checkerboard_additive",
            "channel_offset",
            "coupling_plain_callable",
            "coupling_keras_layer",
            "act_norm",
            "channel_mixing",
            "batch_norm",
            "factor_out",
            "composition",
            "chain",
            "flow_conditional",
            "glow_conditional",
        )
    ],
)
