"""The variables of a distribution as tf_keras sees them."""

import tensorflow as tf
import tf_keras


class VariableGroup(tf_keras.layers.Layer):
    """Shows variables that a `tf.Module` owns to Keras, whose `summary` and HDF5 files know layers only.

    Its `trainable` freezes them.
    """

    def __init__(self, members: list[tf.Variable], name: str, trainable: bool = True) -> None:
        super().__init__(name=name, trainable=trainable)
        self.members = members
        self.built = True
