"""What the code of one replica of a `tf.distribute` strategy asks of the others."""

import tensorflow as tf


def in_several_replicas():
    """Whether this code runs in one of several replicas."""
    context = tf.distribute.get_replica_context()
    return context is not None and context.num_replicas_in_sync > 1


def sum_over_replicas(tensors):
    """Sums a structure of tensors, each with its like in the other replicas; alone, returns it."""
    if not in_several_replicas():
        return tensors
    flat = tf.nest.flatten(tensors)
    for dtype in dict.fromkeys(t.dtype for t in flat):  # They travel concatenated, and so must be of one type.
        chosen = [i for i, t in enumerate(flat) if t.dtype == dtype]
        context = tf.distribute.get_replica_context()
        sums = context.all_reduce(tf.distribute.ReduceOp.SUM, [flat[i] for i in chosen])
        for i, total in zip(chosen, sums, strict=True):
            flat[i] = total
    return tf.nest.pack_sequence_as(tensors, flat)


def replica_local(initial, name):
    """A variable that training moves but no optimizer: every replica updates its own, all alike."""
    return tf.Variable(
        initial,
        trainable=False,
        name=name,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )
