"""A scale and a shift per channel that start from data: activation normalisation."""

import warnings
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfp_realnvp.bijectors.image_bijector import ImageBijector, ValueAndLogDet, image_log_det
from tfp_realnvp.checks import check_channels, check_float_type, check_int
from tfp_realnvp.runtime.ambient import ambient
from tfp_realnvp.runtime.variables import late_variable

_EPSILON = 1e-6  # A channel that is constant over the batch gets a finite scale.


class ActNorm(ImageBijector):
    """Shifts and scales each channel of an image [..., H, W, C], in training as in evaluation.

        inverse:  x = (y + bias) * exp(log_scale)
        forward:  y = x * exp(-log_scale) - bias
        log |det dx/dy| = H * W * sum(log_scale) = -log |det dy/dx|

    Both are learned, and are 0 until `initialize_from_data` sets them so that `inverse`, or `forward` in a
    `tfb.Invert`, gives each channel mean 0 and variance 1 over a batch. `FlowModel.fit` calls it before the first step.
    Unlike TFP's `tfb.Glow`, neither `forward` nor `inverse` ever sets them, so that replicas start alike and a first
    sample changes nothing. `forward` warns while they have not been set.

    >>> norm = ActNorm(channels=1)
    >>> images = tfd.TransformedDistribution(tfd.Sample(tfd.Normal(0.0, 1.0), sample_shape=[1, 1, 1]), norm)
    >>> initialize_from_data(images, tf.reshape([2.0, 4.0], [2, 1, 1, 1]))
    >>> norm.inverse(tf.reshape([2.0, 4.0, 6.0], [3, 1, 1, 1])).numpy().ravel().round(3)
    array([-1.,  1.,  3.], dtype=float32)

    Reference: Kingma & Dhariwal 2018, Glow, section 3.1.
    """

    def __init__(
        self,
        channels: int,
        *,
        dtype: tf.DType = tf.float32,
        validate_args: bool = False,
        name: str = "act_norm",
    ) -> None:
        """Builds the variables.

        Args:
          channels: Python int, C of the images.
          dtype: of images, bias and log-scale.
          validate_args: Python bool.
          name: Python str.

        Raises:
          ValueError, TypeError: for an argument out of range or of another type.
        """
        parameters = dict(locals())
        check_int("channels", channels, 1, meaning="the number of image channels C")
        check_float_type("dtype", dtype)

        def zeros() -> tf.Tensor:
            return tf.zeros([channels], dtype)

        with tf.name_scope(name) as name:
            self.bias = late_variable(zeros, "bias", [channels], dtype)
            self.log_scale = late_variable(zeros, "log_scale", [channels], dtype)
            self._flag = tf.Variable(False, trainable=False, name="initialized")
            super().__init__(parameters=parameters, name=name, dtype=dtype, validate_args=validate_args)

    @property
    def initialized(self) -> bool:
        """Whether both variables were set; asked outside of graphs."""
        return bool(tf.convert_to_tensor(self._flag))  # A replicated variable itself is always true.

    def initialize(self, bias: tf.Tensor, log_scale: tf.Tensor) -> None:
        """Sets both variables, [C], and remembers that they are set; called outside of replicas."""
        self.bias.assign(bias)
        self.log_scale.assign(log_scale)
        self._flag.assign(True)

    def _forward_and_log_det(self, x: tf.Tensor, **keywords: Any) -> ValueAndLogDet:
        def start(mean: tf.Tensor, log_deviation: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return mean * tf.exp(-log_deviation), log_deviation

        if self._record() is None:
            self._warn_if_not_initialized()
        bias, log_scale = self._bias_and_log_scale(x, start)
        return x * tf.exp(-log_scale) - bias, -image_log_det(log_scale, x)

    def _inverse_and_log_det(self, y: tf.Tensor, **keywords: Any) -> ValueAndLogDet:
        def start(mean: tf.Tensor, log_deviation: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return -mean, -log_deviation

        bias, log_scale = self._bias_and_log_scale(y, start)
        return (y + bias) * tf.exp(log_scale), image_log_det(log_scale, y)

    def _record(self) -> dict[Any, Any] | None:
        """Returns where to write what this starts from, if it starts now."""
        record = ambient().initializations
        return record if record is not None and self in record else None

    def _bias_and_log_scale(self, images: tf.Tensor, start: Callable) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns both variables, or what they start from: `start` of the channels' mean and log-deviation."""
        record = self._record()
        if record is None:
            return tf.convert_to_tensor(self.bias), tf.convert_to_tensor(self.log_scale)
        if images.shape[:-1].num_elements() < 2:
            raise ValueError(
                f"`pixels`: {self.name!r} gets a batch of shape {images.shape}, in which a channel has one value, and "
                "no variance to start from: give it more images."
            )
        mean, variance = tf.nn.moments(images, list(range(images.shape.rank - 1)))
        values = start(mean, 0.5 * tf.math.log(variance + _EPSILON))
        record[self] = values
        return values

    def _warn_if_not_initialized(self) -> None:
        with tf.init_scope():  # Out of a graph, if this is traced.
            if tf.executing_eagerly() and not self.initialized:
                flow = self.bias.name.split("/")[0]
                warnings.warn(
                    f"the `ActNorm`s of {flow!r} were never initialized from data, so that samples have no image's "
                    "scale: train it by `FlowModel.fit`, call `initialize_from_data` before a training loop of your "
                    "own, or load weights.",
                    stacklevel=2,
                )

    def _check_shape(self, what: str, shape: tf.TensorShape) -> None:
        check_channels(f"{self.name}: {what}", shape, self.bias.shape[0])
