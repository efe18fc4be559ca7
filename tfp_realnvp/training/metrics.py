"""Keras metrics."""

from typing import Any

import tf_keras


class Mean(tf_keras.metrics.Mean):
    """Keras' `Mean`, which can also be loaded under several replicas.

    There tf_keras 2.21 fails on dividing a data set of HDF5, so the values are read first.
    """

    def load_own_variables(self, store: Any) -> None:
        super().load_own_variables({name: value[()] for name, value in store.items()})
