"""Variational dequantisation: noise whose distribution is learned, given the image."""

import tensorflow as tf
import tensorflow_probability as tfp

from examples.ablations.variants import convolution
from tfp_realnvp import ChannelMixing

tfb = tfp.bijectors
tfd = tfp.distributions
_WIDTH = 32
_STEPS = 4


class WithLearnedNoise(tfp.distributions.Distribution):
    """Whole numbers x, whose log_prob is one draw of log p(x + u) - log q(u | x), a bound for the mean of draws.

    u = sigmoid(scale * flow(e | x) + loc) of normal e, for squeezed images; each step of the flow mixes channels, and
    then shifts and scales one half of them by what a network computes from the other half and x.

    Reference: Ho et al. 2019, Flow++, section 3.1.
    """

    def __init__(self, pixels, levels, compute_dtype):
        """`pixels`: the `tfd.Distribution` of x + u; the other two: those of its flow."""
        parameters = dict(locals())
        with tf.name_scope("noise"):
            self.pixels = pixels
            self._levels = levels
            height, width, channels = pixels.event_shape
            squeezed = 4 * channels
            self._shape = [height // 2, width // 2, squeezed]
            self._context = convolution(squeezed, _WIDTH, 3, compute_dtype)
            self._steps = [
                (ChannelMixing(squeezed), _Network(squeezed // 2 + _WIDTH, squeezed, compute_dtype))
                for _ in range(_STEPS)
            ]
            self._loc = tf.Variable(tf.zeros([squeezed]), name="loc")
            # A logistic variable, whose sigmoid is uniform, has a deviation of exp(0.6).
            self._log_scale = tf.Variable(tf.fill([squeezed], 0.6), name="log_scale")
        super().__init__(
            dtype=pixels.dtype,
            reparameterization_type=tfd.NOT_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters,
            name="with_learned_noise",
        )

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {}

    def _event_shape(self):
        return self.pixels.event_shape

    def _event_shape_tensor(self):
        return tf.constant(self.pixels.event_shape.as_list())

    def _batch_shape(self):
        return tf.TensorShape([])

    def _batch_shape_tensor(self):
        return tf.constant([], tf.int32)

    def _log_prob(self, images):
        noise, log_q = self._noise(images)
        # 1 - 2 ** -24 is the largest float below 1; the sum may round up to the next whole number.
        pixels = tf.minimum(images + noise, self._levels * (1 - 2**-24))
        return self.pixels.log_prob(pixels) - log_q

    def _noise(self, images):
        """Returns noise u [N, H, W, C] for images, and log q(u | x) [N]."""
        scaled = tf.nn.space_to_depth(2.0 * images / self._levels - 1.0, 2)
        context = tf.nn.relu(self._context(scaled))
        base = tfd.Sample(tfd.Normal(0.0, 1.0), self._shape)
        h = base.sample(tf.shape(images)[0])
        log_q = base.log_prob(h)
        for mixing, network in self._steps:
            mixed = mixing.inverse(h)
            log_q -= mixing.inverse_log_det_jacobian(h, 3)
            kept, changed = tf.split(mixed, 2, -1)
            shift, raw = tf.split(network(kept, context), 2, -1)
            log_scale = tf.tanh(raw)
            h = tf.concat([kept, changed * tf.exp(log_scale) + shift], -1)
            log_q -= tf.reduce_sum(log_scale, [1, 2, 3])
        last = tfb.Chain([tfb.Sigmoid(), tfb.Shift(self._loc), tfb.Scale(log_scale=self._log_scale)])
        log_q -= last.forward_log_det_jacobian(h, 3)
        return tf.nn.depth_to_space(last.forward(h), 2), log_q


class _Network(tf.Module):
    def __init__(self, channels_in, channels_out, compute_dtype):
        super().__init__()
        self._first = convolution(channels_in, _WIDTH, 3, compute_dtype)
        self._second = convolution(_WIDTH, _WIDTH, 1, compute_dtype)
        self._last = convolution(_WIDTH, channels_out, 1, compute_dtype, zero=True)

    def __call__(self, kept, context):
        h = self._first(tf.concat([tf.cast(kept, context.dtype), context], -1))
        h += self._second(tf.nn.relu(h))
        return tf.cast(self._last(tf.nn.relu(h)), kept.dtype)
