"""Layers and models of Keras 3 as conditioners."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from tfp_realnvp.saving.keras_objects import check_keras_object


class Network(tf.Module):
    """A layer or model of Keras 3 as a conditioner, whose variables TFP can see.

    >>> import keras
    >>> from tfp_realnvp.keras3 import Network
    >>> layers = [keras.layers.Conv2D(8, 3, padding="same", activation="gelu"), keras.layers.Conv2D(2, 1)]
    >>> network = Network(keras.Sequential([keras.Input([None, None, 1]), *layers]))
    >>> coupling = AffineCoupling(Checkerboard(), network, log_scale_bound=1.0)
    >>> len(coupling.trainable_variables)
    4
    """

    of_keras = True  # It is built eagerly, and not in a graph.

    def __init__(self, layer: Any, name: str = "network", custom_objects: Mapping[str, Any] | None = None) -> None:
        """Takes a `layer` that is built, or what `keras.saving.serialize_keras_object` returned for one.

        Its `call` may take `conditioning` [N, K] by name; it says K by an attribute `conditioning_size`. A description
        may name `custom_objects`.

        Raises:
          ValueError: for a layer that has yet to make its variables, or that a file may not name.
          TypeError: for anything else.
        """
        super().__init__(name=name)
        if isinstance(layer, dict):
            check_keras_object(layer, custom_objects, keras=keras)
            layer = keras.saving.deserialize_keras_object(layer, custom_objects)
        if not isinstance(layer, keras.layers.Layer):
            raise TypeError(f"`layer`={layer!r}: must be a layer or model of Keras 3, e.g. `keras.layers.Conv2D`.")
        if not layer.built:
            raise ValueError(f"`layer` {layer.name!r} is not built: call its `build`, e.g. with [None, None, None, C].")
        self.layer = layer
        if hasattr(layer, "conditioning_size"):  # See `tfp_realnvp.keywords`.
            self.conditioning_size = layer.conditioning_size
        self._variables_of_layer = [v.value for v in layer.variables]

    @property
    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments, as plain data."""
        return {"layer": keras.saving.serialize_keras_object(self.layer), "name": self.name}

    def __call__(self, x: tf.Tensor, training: bool = False, **keywords: Any) -> tf.Tensor:
        """Maps [N, H, W, C] to the layer's answer; other keywords are those that its `call` takes by name."""
        # A layer within this one may take `training` though its own `call` does not; Keras hands it on.
        return tf.convert_to_tensor(self.layer(x, training=training, **keywords))
