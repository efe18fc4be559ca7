"""The options that all networks of a flow share."""

import dataclasses
from typing import Any

import tensorflow as tf

from tfp_realnvp.checks import check_bool, check_float_type, check_int, check_number


@dataclasses.dataclass(frozen=True)
class NetworkOptions:
    """What `ResidualNetwork` and `CouplingNetwork` take besides their sizes.

    Attributes:
      conditioning_size: Python int K, or None for an unconditional network.
      batch_norm: Python bool; False leaves out every normalisation and gives the convolutions biases.
      momentum: float in [0, 1), see `RunningStatistics`.
      running_average: Python bool, see `RunningStatistics`.
      recompute_gradients: Python bool; keep only each block's input for the backward pass, and compute the block from
        it anew.
      dtype: of the variables, the statistics and the answer.
      compute_dtype: of the convolutions, no wider than `dtype`, e.g. `tf.bfloat16`; None for `dtype`.

    Raises:
      ValueError, TypeError: for an argument out of range or of another type.
    """

    conditioning_size: int | None = None
    batch_norm: bool = True
    momentum: float = 0.9
    running_average: bool = False
    recompute_gradients: bool = False
    dtype: tf.DType = tf.float32
    compute_dtype: tf.DType | None = None

    def __post_init__(self) -> None:
        check_conditioning_size(self.conditioning_size)
        for name in ("batch_norm", "running_average", "recompute_gradients"):
            check_bool(name, getattr(self, name))
        check_number("momentum", self.momentum, lambda m: 0 <= m < 1, "in [0, 1), the share of the old value")
        check_float_type("dtype", self.dtype)
        check_compute_dtype(self.compute_dtype, self.dtype)

    @property
    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


def check_conditioning_size(size: Any) -> None:
    """Raises ValueError unless this is the length of a conditioning vector, or None."""
    if size is not None:
        meaning = "the length of a conditioning vector; None for an unconditional network"
        check_int("conditioning_size", size, 1, meaning=meaning)


def check_compute_dtype(compute_dtype: Any, dtype: Any) -> None:
    """Raises TypeError or ValueError unless `compute_dtype` is None or a float type no wider than `dtype`."""
    if compute_dtype is None:
        return
    check_float_type("compute_dtype", compute_dtype)
    dtype, compute_dtype = tf.as_dtype(dtype), tf.as_dtype(compute_dtype)
    if compute_dtype.size > dtype.size:
        raise ValueError(
            f"`compute_dtype`={compute_dtype.name}: must be no wider than `dtype`={dtype.name}, to which "
            f"answers are rounded; leave it out, or build the flow with `dtype=tf.{compute_dtype.name}`."
        )
