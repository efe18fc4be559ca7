"""Variables as Keras sees them."""

import tensorflow as tf
import tf_keras


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
