"""Keras metrics."""

from typing import Any

import tensorflow as tf
import tf_keras


class Mean(tf_keras.metrics.Mean):
    """Keras' `Mean` of what all replicas know alike, so that none of them asks the others for the result.

    It can also be loaded under several replicas, where tf_keras 2.21 fails on dividing a data set of HDF5: the values
    are read first.
    """

    def add_weight(self, *args: Any, **kwargs: Any) -> Any:
        return super().add_weight(*args, **kwargs | {"aggregation": tf.VariableAggregation.ONLY_FIRST_REPLICA})

    def load_own_variables(self, store: Any) -> None:
        super().load_own_variables({name: value[()] for name, value in store.items()})
