"""What either Keras saves of a model, and what it makes of a file."""

import os
import pathlib
from types import ModuleType
from typing import Any

import tensorflow as tf

from tfp_realnvp.checks import check_finite
from tfp_realnvp.saving.atomic import written_whole
from tfp_realnvp.saving.description import describe, rebuild
from tfp_realnvp.saving.export import export_saved_model
from tfp_realnvp.saving.hdf5 import check_weights_file
from tfp_realnvp.saving.keras_objects import check_keras_object
from tfp_realnvp.saving.versions import listed, versions
from tfp_realnvp.training.density_model import DensityModel

# What the distribution of a NAME.keras may build, and averages and an optimizer's slots as much again each; Keras reads
# the weights, by whose size it could be judged, only later. The paper's largest flow has 1,204 variables of 0.39 GB. A
# larger model is built in Python, and gets the file's weights by `load_weights`.
_MOST_VARIABLES, _MOST_BYTES = 2**13, 2**29
_KerasModel: Any = object  # For mypy: a subclass is a Keras model as well.


class ModelFiles(DensityModel, _KerasModel):
    """The part of a `FlowModel` that goes into files and comes out of them.

    Attributes:
      library: `tf_keras` or Keras 3, whose model a subclass is.
      load_with: str, the first entry of a file's configuration. The error of a Keras that can't load it shows it.
      variable_groups: layers of that Keras, with `members` and `trainable`.
    """

    library: ModuleType
    load_with: str
    variable_groups: list[Any]
    _is_described = False

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments, the distribution among them as `save_flow` describes it.

        Raises:
          TypeError: if something in the distribution can't be described, e.g. a function; the message says where.
        """
        likelihood = self.likelihood
        return {
            "load_with": self.load_with,
            "versions": versions(),
            "distribution": describe(self.distribution),
            "levels": likelihood.levels,
            "dequantize": likelihood.dequantize,
            "l2": likelihood.l2,
            "averaging": None if likelihood.averages is None else likelihood.averages.decay,
            "seed": int(likelihood.seed.numpy()),
            "name": self.name,
            "frozen": [i for i, group in enumerate(self.variable_groups) if not group.trainable],
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "ModelFiles":
        """Returns a model of the same arguments, with new weights.

        Raises:
          ValueError: if the configuration leads to no model, or to more variables than `load_model` builds.
        """
        arguments = dict(config)
        arguments.pop("load_with", None)
        saved_by, frozen = arguments.pop("versions", None), arguments.pop("frozen", ())
        arguments["distribution"] = rebuild(
            arguments.get("distribution"),
            custom_objects,
            source="`config` of the file",
            saved_by=saved_by,
            most_variables=_MOST_VARIABLES,
            most_bytes=_MOST_BYTES,
            count_first=True,
        )
        try:
            model = cls(**arguments)
            for i in frozen:
                model.variable_groups[i].trainable = False
            return model
        except (IndexError, TypeError, ValueError, tf.errors.OpError) as error:
            raise ValueError(
                f"`config` of the file: {listed(versions())} builds no FlowModel of it ({error}); it was saved by "
                f"{listed(saved_by)}. Load it with these versions, or save the model once more."
            ) from error

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Does nothing: all variables exist already. Keras would call the model with a shape from the file."""

    def load_own_variables(self, store: Any) -> None:
        """As in Keras, which begins with this call; the whole file is checked here, before any of it is read."""
        check_weights_file(store)
        super().load_own_variables(store)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles as before; Keras leaves that to models with a `compile` of their own."""
        try:
            check_keras_object(config, keras=self.library)
            self.compile(**self.library.saving.deserialize_keras_object(config))
        except Exception as error:  # Keras raises nearly anything for a configuration that is wrong.
            raise ValueError(
                f"`compile_config` of the file: {listed(versions())} compiles no FlowModel by it ({error}); load it "
                "with `compile=False`, and compile the model yourself."
            ) from error

    def check_can_be_saved(self, filepath: Any) -> None:
        """Raises ValueError for a `filepath` that is no NAME.keras, and an error if the distribution can't be saved."""
        if not os.fspath(filepath).endswith(".keras"):
            raise ValueError(
                f"`filepath`={filepath}: must end in .keras to hold the whole model; `save_weights` writes the weights "
                "alone, `export` a SavedModel."
            )
        if not self._is_described:
            self.check_description()
            self._is_described = True  # It is asked before each save, and takes time.

    def check_description(self) -> None:
        """Raises an error if what a file would hold of the distribution leads to no such one."""
        describe(self.distribution)

    def check_finite(self) -> None:
        """Raises ValueError that names the variable if a weight, a statistic or an average is not finite."""
        averages = [] if self.likelihood.averages is None else self.likelihood.averages.averages
        check_finite([*self.distribution.variables, *averages])

    def save_weights(self, filepath: Any, *args: Any, **kwargs: Any) -> Any:
        """As in Keras; raises ValueError if a weight is not finite."""
        self.check_finite()
        return super().save_weights(filepath, *args, **kwargs)

    def save(self, filepath: Any, overwrite: bool = True, **kwargs: Any) -> None:
        """As in Keras, to a file NAME.keras, whole or not at all; Keras' older formats know layers only.

        Raises:
          ValueError: for another name; `export` writes a SavedModel, `save_weights` the weights alone. Also if a weight
            is not finite.
          OSError: if the file can't be written; one that was there is unchanged.
        """
        self.check_can_be_saved(filepath)
        self.check_finite()
        path = pathlib.Path(filepath)
        if "://" in os.fspath(filepath) or (path.exists() and not overwrite):  # Keras asks before it overwrites.
            super().save(filepath, overwrite, **kwargs)
            return
        with written_whole(path) as hidden:
            super().save(hidden, **kwargs)

    def export(self, filepath: Any, format: str = "tf_saved_model") -> str:
        """Writes a SavedModel to FILEPATH/N, by `export_saved_model`, with the weights of `evaluate`; returns where.

        Raises:
          ValueError: for a `format` of Keras 3 other than "tf_saved_model".
        """
        if format != "tf_saved_model":
            raise ValueError(f"`format`={format!r}: must be 'tf_saved_model', or left out.")
        with self.likelihood.evaluation_weights():
            return export_saved_model(self.distribution, filepath, levels=self.likelihood.levels)
