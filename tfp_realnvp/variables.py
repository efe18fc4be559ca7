"""Variables as `tf.distribute` and Keras need them."""

import tensorflow as tf
import tf_keras


def replica_local(initial, name):
    """A variable that training moves but no optimizer: every replica updates its own, all alike."""
    return tf.Variable(
        initial,
        trainable=False,
        name=name,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )


class VariableGroup(tf_keras.layers.Layer):
    """Shows variables that a `tf.Module` owns to Keras, whose `summary` and HDF5 files know layers only."""

    def __init__(self, variables, name):
        super().__init__(name=name)
        self.members = variables
        self.built = True


def group_variables(variables):
    """Returns a `VariableGroup` for each first three parts of a name: for `RealNVPImage`, one a coupling."""
    groups: dict[str, list[tf.Variable]] = {}
    for v in variables:
        groups.setdefault(".".join(v.name.split(":")[0].split("/")[:-1][:3]) or "distribution", []).append(v)
    return [VariableGroup(members, name) for name, members in groups.items()]
