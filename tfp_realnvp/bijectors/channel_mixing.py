"""Mixing of channels by an invertible 1x1 convolution."""

import functools
from typing import Any

import tensorflow as tf

from tfp_realnvp.bijectors.image_bijector import ImageBijector, ValueAndLogDet, image_log_det
from tfp_realnvp.checks import check_channels, check_float_type, check_int
from tfp_realnvp.runtime.variables import late_variable


class ChannelMixing(ImageBijector):
    """Maps the channels of each pixel of an image [..., H, W, C] by one invertible matrix, a 1x1 convolution.

        W = P L (U + diag(signs * exp(log_diagonal)))
        inverse:  x[..., i, j, :] = W y[..., i, j, :]
        forward:  y[..., i, j, :] = solution of two triangular systems
        log |det dx/dy| = H * W * sum(log_diagonal) = -log |det dy/dx|

    L is lower triangular with ones on its diagonal, U upper triangular with zeros on it. The permutation P and the
    signs stay as they are; the rest is learned. W starts as a random rotation, so that the log det starts at 0.

    GPUs that have TensorFloat-32 multiply float32 matrices with 10 bits of mantissa, unless one forbids it by
    `tf.config.experimental.enable_tensor_float_32_execution(False)`. The product in `inverse` then errs by 1e-3, and
    `forward`, which solves in full precision, undoes it to that precision alone.

    >>> mixing = ChannelMixing(channels=4)
    >>> y = tf.random.normal([2, 3, 3, 4])
    >>> x = mixing.inverse(y)
    >>> bool(tf.reduce_max(tf.abs(tf.norm(x, axis=-1) - tf.norm(y, axis=-1))) < 1e-5)
    True

    Reference: Kingma & Dhariwal 2018, Glow, section 3.2, "LU decomposition".
    """

    def __init__(
        self,
        channels: int,
        *,
        dtype: tf.DType = tf.float32,
        validate_args: bool = False,
        name: str = "channel_mixing",
    ) -> None:
        """Builds the matrix, at a rotation that TensorFlow's generator draws (`tf.random.set_seed`).

        Args:
          channels: Python int, C of the images.
          dtype: of images and matrix; float32 also where networks compute in a narrower type.
          validate_args: Python bool.
          name: Python str.

        Raises:
          ValueError, TypeError: for an argument out of range or of another type.
        """
        parameters = dict(locals())
        check_int("channels", channels, 1, meaning="the number of image channels C")
        check_float_type("dtype", dtype)
        if tf.as_dtype(dtype).size < 4:
            raise TypeError(
                f"`dtype`={dtype!r}: must be tf.float32 or tf.float64, which TensorFlow can factor; networks may "
                "compute in a narrower type."
            )

        @functools.cache
        def factors() -> tuple[tf.Tensor, tf.Tensor]:
            return tf.linalg.lu(tf.linalg.qr(tf.random.normal([channels, channels], dtype=dtype))[0])

        def diagonal() -> tf.Tensor:
            return tf.linalg.diag_part(factors()[0])

        square = [channels, channels]
        with tf.name_scope(name) as name:
            self.lower = late_variable(lambda: _below(factors()[0]), "lower", square, dtype)
            self.upper = late_variable(lambda: _above(factors()[0]), "upper", square, dtype)
            self.log_diagonal = late_variable(
                lambda: tf.math.log(tf.abs(diagonal())), "log_diagonal", [channels], dtype
            )
            self.signs = late_variable(lambda: tf.sign(diagonal()), "signs", [channels], dtype, trainable=False)
            self.permutation = late_variable(
                lambda: tf.cast(factors()[1], tf.int64), "permutation", [channels], tf.int64, trainable=False
            )
            super().__init__(parameters=parameters, name=name, dtype=dtype, validate_args=validate_args)

    @property
    def matrix(self) -> tf.Tensor:
        """W, [C, C]."""
        lower, upper = self._triangles()
        # tf.linalg.lu says which row of W each row of L U is.
        return tf.scatter_nd(self.permutation[:, tf.newaxis], lower @ upper, tf.shape(lower, tf.int64))

    def _triangles(self) -> tuple[tf.Tensor, tf.Tensor]:
        lower = tf.linalg.set_diag(_below(self.lower), tf.ones_like(self.log_diagonal))
        upper = tf.linalg.set_diag(_above(self.upper), self.signs * tf.exp(self.log_diagonal))
        return lower, upper

    def _inverse_and_log_det(self, y: tf.Tensor, **keywords: Any) -> ValueAndLogDet:
        return tf.tensordot(y, self.matrix, [[-1], [1]]), image_log_det(self.log_diagonal, y)

    def _forward_and_log_det(self, x: tf.Tensor, **keywords: Any) -> ValueAndLogDet:
        lower, upper = self._triangles()
        columns = tf.transpose(tf.reshape(x, [-1, x.shape[-1]]))
        columns = tf.linalg.triangular_solve(lower, tf.gather(columns, self.permutation))
        columns = tf.linalg.triangular_solve(upper, columns, lower=False)
        return tf.reshape(tf.transpose(columns), tf.shape(x)), -image_log_det(self.log_diagonal, x)

    def _check_shape(self, what: str, shape: tf.TensorShape) -> None:
        check_channels(f"{self.name}: {what}", shape, self.log_diagonal.shape[0])


def _below(matrix: tf.Tensor) -> tf.Tensor:
    """Returns the part of a matrix below its diagonal; the rest is 0."""
    return tf.linalg.set_diag(tf.linalg.band_part(matrix, -1, 0), tf.zeros(matrix.shape[:1], matrix.dtype))


def _above(matrix: tf.Tensor) -> tf.Tensor:
    return tf.linalg.set_diag(tf.linalg.band_part(matrix, 0, -1), tf.zeros(matrix.shape[:1], matrix.dtype))
