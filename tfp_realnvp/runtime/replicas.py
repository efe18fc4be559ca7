"""What the code of one replica of a `tf.distribute` strategy asks of the others."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tfp_realnvp.runtime.variables import late_variable


def in_several_replicas() -> bool:
    """Whether this code runs in one of several replicas."""
    context = tf.distribute.get_replica_context()
    return context is not None and context.num_replicas_in_sync > 1


def sum_over_replicas(tensors: Any) -> Any:
    """Sums each tensor of a structure with its counterparts in the other replicas; alone, returns the structure."""
    if not in_several_replicas():
        return tensors
    context = tf.distribute.get_replica_context()
    flat = tf.nest.flatten(tensors)
    for dtype in dict.fromkeys(t.dtype for t in flat):  # A strategy concatenates them, so they must be of one type.
        chosen = [i for i, t in enumerate(flat) if t.dtype == dtype]
        sums = context.all_reduce(tf.distribute.ReduceOp.SUM, [flat[i] for i in chosen])
        for i, total in zip(chosen, sums, strict=True):
            flat[i] = total
    return tf.nest.pack_sequence_as(tensors, flat)


def replica_local(
    initial: Callable[[], tf.Tensor], name: str, shape: Sequence[int] = (), dtype: tf.DType = tf.int64
) -> tf.Variable:
    """Returns a variable that no optimizer moves. Each replica assigns to its own copy, all of them the same value.

    Args:
      initial, name, shape, dtype: see `late_variable`.
    """
    return late_variable(
        initial,
        name,
        shape,
        dtype,
        trainable=False,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )
