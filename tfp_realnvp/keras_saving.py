"""A model in one file, as Keras saves and loads it: the distribution, its weights, the averages and the optimizer."""

import os
import pathlib

import tensorflow as tf
import tf_keras

from tfp_realnvp.checks import check_not_keras_3
from tfp_realnvp.description import build, describe
from tfp_realnvp.serving import export_saved_model


class SavableModel(tf_keras.Model):
    """What Keras asks of a model around a `distribution` to save it, for `FlowModel` to build on.

    `model.save("NAME.keras")` and a `ModelCheckpoint` keep all that `fit` needs to go on, and
    `tf_keras.models.load_model("NAME.keras")` gives it back: the same model bit for bit, compiled.
    """

    def get_config(self):
        """The constructor's arguments, the distribution among them as `save_flow` writes it.

        Raises:
          TypeError: if something in the distribution can't be described, e.g. a function; the message says where.
        """
        return {
            "distribution": describe(self.distribution),
            "levels": self.levels,
            "dequantize": self.dequantize,
            "l2": self.l2,
            "averaging": None if self.averages is None else self.averages.decay,
            "seed": int(self.seed.numpy()),
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """A model of the same arguments, with new weights."""
        return cls(**config | {"distribution": build(config["distribution"], custom_objects)})

    def compile_from_config(self, config):
        """Compiles as before; Keras leaves that to models with a `compile` of their own."""
        self.compile(**tf_keras.saving.deserialize_keras_object(config))

    def save(self, filepath, overwrite=True, **kwargs):
        """As in Keras, to a file NAME.keras, whole or not at all; older formats know layers only, and are refused.

        Raises:
          ValueError: for another name; `export` writes a SavedModel, `save_weights` the weights alone.
          OSError: if the file can't be written; one that was there is unchanged.
        """
        check_filepath(filepath)
        path = pathlib.Path(filepath)
        if "://" in os.fspath(filepath) or (path.exists() and not overwrite):  # Then Keras asks.
            super().save(filepath, overwrite, **kwargs)
            return
        partial = path.with_name(f".partial-{path.name}")
        try:
            super().save(partial, **kwargs)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    def export(self, filepath):
        """Writes a SavedModel to FILEPATH/N, by `export_saved_model`, with the weights of `evaluate`; returns where."""
        with self.evaluation_weights():
            return export_saved_model(self.distribution, filepath, levels=self.levels)


class Mean(tf_keras.metrics.Mean):
    """Keras' `Mean`, but loaded under several replicas too, where tf_keras 2.21 would divide a data set of HDF5."""

    def load_own_variables(self, store):
        super().load_own_variables({name: value[()] for name, value in store.items()})


def check_filepath(filepath):
    """Raises unless Keras will write a file NAME.keras to `filepath`."""
    if not os.fspath(filepath).endswith(".keras"):
        raise ValueError(
            f"`filepath`={filepath}: must end in .keras to hold the whole model; `save_weights` writes the weights "
            "alone, `export` a SavedModel."
        )


def check_callbacks(callbacks, model):
    """Raises if one is not of tf_keras, or is a `ModelCheckpoint` that could not save the model after an epoch."""
    for callback in tf.nest.flatten(getattr(callbacks, "callbacks", callbacks) or []):
        check_not_keras_3("callbacks", callback)
        if not isinstance(callback, tf_keras.callbacks.Callback):
            raise TypeError(f"`callbacks` hold {callback!r}: must be of tf_keras.callbacks.")
        if isinstance(callback, tf_keras.callbacks.ModelCheckpoint) and not callback.save_weights_only:
            check_filepath(callback.filepath)
            model.get_config()
