"""Muon for the filters of convolutions, Adam for everything else."""

import math
from typing import Any

import tensorflow as tf
import tf_keras

from tfp_realnvp.checks import check_number
from tfp_realnvp.training.adam import Adam

# The polynomial's slope at 0 is large, so that five steps bring most singular values into [0.7, 1.2].
_COEFFICIENTS, _STEPS = (3.4445, -4.7750, 2.0315), 5
# A gradient whose norm is far below this moves nothing. Without it, filters of units that are off for all images would
# take whole steps along rounding errors, and below 1e-19, where squares are 0 in float32, the norm is wrong: NaN.
_EPSILON = 1e-7


@tf_keras.saving.register_keras_serializable("tfp_realnvp")
class Muon(Adam):
    """Makes the updates of filters [h, w, C, D] orthogonal as matrices [h * w * C, D]; `Adam` updates the rest.

        m = momentum * m + (1 - momentum) * gradient
        u = (1 - momentum) * gradient + momentum * m             Nesterov's
        filters -= rate * sqrt(max(h * w * C, D)) * orthogonal(u)

    `orthogonal` takes U V^T for U S V^T, to about 0.3 in each singular value, by 5 steps of Newton and Schulz's
    iteration. It costs a few matrix products a filter and step, whatever the batch is; filters of one shape take them
    together. The root mean square of an update is about the rate, as the first of Adam's are. The gradient's size does
    not matter, as long as its norm is above 1e-7.

    >>> optimizer = Muon(1e-3, global_clipnorm=100.0)
    >>> filters = tf.Variable(tf.zeros([3, 3, 8, 16]))
    >>> _ = optimizer.apply_gradients([(tf.random.normal([3, 3, 8, 16]), filters)])
    >>> update = tf.linalg.svd(tf.reshape(filters, [72, 16]) / (1e-3 * 72**0.5), compute_uv=False)
    >>> bool(tf.reduce_all((update > 0.5) & (update < 1.5)))
    True

    Reference: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"; one rate with Adam as in
    Liu et al. 2025, "Muon is scalable for LLM training", arXiv 2502.16982, whose factor of 0.2 is left to the rate.
    """

    def __init__(self, learning_rate: Any = 2e-3, *, momentum: float = 0.95, name: str = "Muon", **kwargs: Any) -> None:
        """Builds the optimizer.

        Args:
          learning_rate: float or schedule, that of filters and of all else.
          momentum: float in [0, 1), of the filters.
          name: Python str.
          **kwargs: those of `tf_keras.optimizers.Adam`, which except for clipping and weight decay do not concern
            filters.

        Raises:
          ValueError: for a momentum out of range, or `use_ema`.
        """
        super().__init__(learning_rate, name=name, **kwargs)
        check_number("momentum", momentum, lambda m: 0 <= m < 1, "in [0, 1), e.g. 0.95")
        if self.use_ema:
            raise ValueError("`use_ema`=True: must be False; a `FlowModel` keeps averages by its `averaging`.")
        self.momentum = momentum

    def get_config(self) -> dict[str, Any]:
        """As in Keras."""
        return super().get_config() | {"momentum": self.momentum}

    def _distributed_apply_gradients_fn(self, distribution: Any, grads_and_vars: Any, **kwargs: Any) -> Any:
        # Keras' hook for all variables together, called outside of replicas.
        groups: dict[Any, list[Any]] = {}
        rest = []
        for gradient, variable in grads_and_vars:
            if variable.shape.rank == 4 and not isinstance(gradient, tf.IndexedSlices):
                groups.setdefault((*_matrix_shape(variable), variable.dtype), []).append((gradient, variable))
            else:
                rest.append((gradient, variable))
        for pairs in groups.values():
            gradients, variables = zip(*pairs, strict=True)
            distribution.extended.update(variables[0], self._update_filters, args=(variables, gradients), group=False)
        return super()._distributed_apply_gradients_fn(distribution, rest, **kwargs)

    def _update_filters(self, _: Any, variables: Any, gradients: Any) -> None:
        """Takes one step of filters that are matrices of one shape."""
        rows, columns = _matrix_shape(variables[0])
        directions = []
        for variable, gradient in zip(variables, gradients, strict=True):
            m = self._momentums[self._index_dict[self._var_key(variable)]]
            moved = self.momentum * m + (1 - self.momentum) * gradient
            m.assign(moved)
            directions.append(tf.reshape(self.momentum * moved + (1 - self.momentum) * gradient, [rows, columns]))
        step = math.sqrt(max(rows, columns)) * tf.cast(self.learning_rate, variables[0].dtype)
        for variable, update in zip(variables, tf.unstack(_orthogonal(tf.stack(directions))), strict=True):
            variable.assign_sub(step * tf.reshape(update, variable.shape))


def _matrix_shape(filters: tf.Variable) -> tuple[int, int]:
    *window, columns = filters.shape
    return math.prod(window), columns


def _orthogonal(matrices: tf.Tensor) -> tf.Tensor:
    """Returns U V^T, roughly, for each U S V^T of `matrices` [..., rows, columns]; nearly 0 where S is below 1e-7.

    A step X <- (a + b X X^T + c (X X^T)^2) X multiplies X by a polynomial of X X^T, so that all steps need products of
    small square matrices only, and X itself is multiplied once.
    """
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = tf.linalg.matrix_transpose(matrices) if tall else matrices
    x /= tf.norm(x, axis=[-2, -1], keepdims=True) + _EPSILON
    gram = tf.matmul(x, x, transpose_b=True)
    a, b, c = _COEFFICIENTS
    identity = tf.eye(x.shape[-2], dtype=x.dtype)
    product = None
    for _ in range(_STEPS):
        factor = a * identity + b * gram + c * (gram @ gram)
        product = factor if product is None else factor @ product
        gram = factor @ gram @ factor
    x = product @ x
    return tf.linalg.matrix_transpose(x) if tall else x
