"""The two Kerases, for tests of what a `FlowModel` does under either: they ask for the fixture `kind`."""

import types
from typing import NamedTuple

import keras
import tf_keras

import tfp_realnvp
from tests import models
from tfp_realnvp import keras3


class Kind(NamedTuple):
    library: types.ModuleType
    FlowModel: type

    @property
    def callbacks(self):
        return self.library.callbacks

    @property
    def optimizers(self):
        return self.library.optimizers

    @property
    def load_model(self):
        return self.library.models.load_model

    def of_tensorflow(self, variables):
        """The variables of TensorFlow behind those of this Keras."""
        return [v if self.library is tf_keras else v.value for v in variables]

    def sequence(self, batches):
        """Keras' class for data that are read by number."""
        parent = tf_keras.utils.Sequence if self.library is tf_keras else keras.utils.PyDataset
        methods = {"__len__": lambda _: len(batches), "__getitem__": lambda _, i: batches[i]}
        return type("Batches", (parent,), methods)()

    def conditioner(self, layer):
        """A layer of this Keras as a conditioner."""
        return layer if self.library is tf_keras else keras3.Network(layer)

    def compiled(self, distribution, *, optimizer=None, options=None, **model):
        """A compiled `FlowModel`; `options` are those of `compile`."""
        return models.compiled(distribution, optimizer=optimizer, options=options, kind=self.FlowModel, **model)

    def still(self):
        """An optimizer that leaves the weights where they are."""
        return self.optimizers.SGD(0.0)


KINDS = {"tf_keras": Kind(tf_keras, tfp_realnvp.FlowModel), "keras": Kind(keras, keras3.FlowModel)}
