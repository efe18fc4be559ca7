"""The variables of a distribution as Keras 3 sees them."""

from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf


class VariableGroup(keras.layers.Layer):
    """Shows variables of a distribution to Keras as those of a layer; its `trainable` freezes them."""

    def __init__(
        self, members: Sequence[tf.Variable], name: str, trainable: bool, known: Mapping[int, keras.Variable]
    ) -> None:
        """Args: known: by the ids of members, the variables of Keras layers, which have constraints and flags."""
        super().__init__(name=name, trainable=trainable, dtype="float32")
        self.members = list(members)
        with keras.name_scope(name):
            for v in members:
                # Keras takes a tf.Variable as it is, without a copy, and has no public way to track one.
                options = {"trainable": v.trainable, "dtype": v.dtype.name, "autocast": False}
                # Keras allows no slashes in a name. What it has in common with the group's is left out.
                own_name = v.name.split(":")[0].replace("/", ".").removeprefix(f"{name}.")
                own = known[id(v)] if id(v) in known else keras.Variable(v, name=own_name, **options)
                self._track_variable(own)
        self.built = True
