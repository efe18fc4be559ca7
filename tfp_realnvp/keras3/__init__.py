"""`FlowModel` under Keras 3, which is `keras` and `tf.keras`, with TensorFlow as its backend.

    from tfp_realnvp.keras3 import FlowModel

Nothing else of this package imports Keras 3: TFP itself, and `tfp_realnvp.FlowModel`, are of tf_keras.
"""

import keras

from tfp_realnvp.keras3.flow_model import FlowModel
from tfp_realnvp.keras3.network import Network
from tfp_realnvp.saving.known_classes import read_registry_of, register

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        f"Keras 3 has the backend {keras.backend.backend()!r}: must be 'tensorflow', as TFP's variables are; set the "
        "environment variable KERAS_BACKEND=tensorflow before Keras is imported."
    )

register(Network, package=__name__)
read_registry_of(keras)

__all__ = ["FlowModel", "Network"]
