"""`GlowImage`s with one part more, or one less."""

import functools
import itertools

import tensorflow as tf
from tf_keras import layers

from tfp_realnvp import ActNorm, AffineCoupling, ChannelHalves, GlowImage


class WithoutActNorm(GlowImage):
    """Channels are mixed as they come."""

    def _step(self, channels):
        return [part for part in super()._step(channels) if not isinstance(part, ActNorm)]


class WithoutMixing(GlowImage):
    """Steps change the first and the second half of the channels by turns, which stay in their places."""

    def __init__(self, *args, **kwargs):
        self._turns = itertools.cycle([0, 1])
        super().__init__(*args, **kwargs)

    def _step(self, channels):
        norm, *_ = super()._step(channels)
        half = ChannelHalves(next(self._turns))
        coupling = AffineCoupling(half, self._network(half, channels), name="coupling", **self._coupling_options)
        return [norm, coupling]


class WithoutSplitPrior(GlowImage):
    """What is factored out is standard normal, as in Real NVP."""

    def _split_prior(self, channels):
        return []


class Gated(GlowImage):
    """Blocks multiply their answer by the sigmoid of as many more channels."""

    def _network(self, mask, channels):
        return _Network(mask, channels, gated=True, **self._network_options)


class Normalised(GlowImage):
    """Each block, and the last convolution, normalise their input by layer norm: moments of the whole image."""

    def _network(self, mask, channels):
        return _Network(mask, channels, normalised=True, **self._network_options)


class Relu(GlowImage):
    """Units give nothing below 0, and can go to where no image gives them a gradient."""

    def _network(self, mask, channels):
        return _Network(mask, channels, activation=tf.nn.relu, **self._network_options)


def convolution(channels_in, channels_out, size, compute_dtype, zero=False):
    """Returns Keras' convolution, built, which computes in a dtype that may be None for float32."""
    made = layers.Conv2D(
        channels_out,
        size,
        padding="same",
        kernel_initializer="zeros" if zero else "he_normal",
        dtype=_policy(compute_dtype),
    )
    made.build([None, None, None, channels_in])
    return made


def _policy(compute_dtype):
    return "float32" if compute_dtype is None else f"mixed_{tf.as_dtype(compute_dtype).name}"


def _leaky(h):
    return tf.nn.leaky_relu(h, 0.1)


class _Network(tf.Module):
    """What `PlainNetwork` computes, of Keras' layers, with gates, norms or another activation; unconditional."""

    def __init__(
        self,
        mask,
        channels,
        *,
        width,
        residual_blocks,
        compute_dtype,
        gated=False,
        normalised=False,
        activation=_leaky,
        **_,
    ):
        super().__init__(name="network")
        self._inputs = mask.conditioning_channels(channels)
        inputs = self._inputs.stop - self._inputs.start
        self._gated = gated
        self._activation = activation
        make = functools.partial(convolution, compute_dtype=compute_dtype)

        def norm():
            if not normalised:
                return tf.identity
            made = layers.GroupNormalization(1, dtype=_policy(compute_dtype))
            made.build([None, None, None, width])
            return made

        self._first = make(inputs, width, 3)
        self._blocks = [
            [norm(), make(width, width, 3), make(width, width * (1 + gated), 1, zero=not gated)]
            for _ in range(residual_blocks)
        ]
        self._norm = norm()
        self.num_answers = 2 * (channels - inputs)
        self._last = make(width, self.num_answers, 1, zero=True)

    def __call__(self, x):
        h = self._first(tf.clip_by_value(x[..., self._inputs], -5.0, 5.0))
        for norm, conv_0, conv_1 in self._blocks:
            answer = conv_1(self._activation(conv_0(self._activation(norm(h)))))
            if self._gated:
                answer, gate = tf.split(answer, 2, -1)
                answer *= tf.sigmoid(gate)
            h += answer
        return tf.cast(self._last(self._activation(self._norm(h))), x.dtype)
