"""`Steep` is a distribution whose gradient the test chooses."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tests.models import SHAPE

tfd = tfp.distributions


class Steep(tfd.Distribution):
    """The likelihood is constant, and its gradient to each of `count` weights is `gradient`.

    It is minus infinity, with the same gradient, where the first pixel is at least `unlikely`.
    """

    def __init__(self, gradient, unlikely=None, count=1):
        self.weights = [tf.Variable(1.0, name="weight") for _ in range(count)]
        self._gradient, self._unlikely = gradient, unlikely
        super().__init__(
            dtype=tf.float32,
            reparameterization_type=tfd.NOT_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
        )

    def _event_shape(self):
        return tf.TensorShape(SHAPE)

    def _log_prob(self, x):
        @tf.custom_gradient
        def steep(weight):
            return weight, lambda upstream: upstream * self._gradient

        log_prob = tf.zeros(tf.shape(x)[:1]) + sum(steep(weight) for weight in self.weights)
        if self._unlikely is None:
            return log_prob
        return tf.where(x[:, 0, 0, 0] >= self._unlikely, -np.inf, log_prob)
