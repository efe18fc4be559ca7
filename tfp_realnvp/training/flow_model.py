"""Maximum likelihood for any distribution over images, as a Keras model (paper, section 4.1)."""

import contextlib
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
import tf_keras

from tfp_realnvp.checks import check_finite, check_int
from tfp_realnvp.saving.atomic import written_whole
from tfp_realnvp.saving.description import describe, rebuild
from tfp_realnvp.saving.export import export_saved_model
from tfp_realnvp.saving.keras_objects import check_keras_object
from tfp_realnvp.saving.versions import listed, versions
from tfp_realnvp.training.callbacks import check_callbacks, check_filepath, with_stop_on_failure
from tfp_realnvp.training.data import check_images, y_beside_weights
from tfp_realnvp.training.likelihood_model import LikelihoodModel

# What a NAME.keras may build; Keras reads its weights, by whose size it could be judged, only later. The paper's
# largest flow has 1,204 variables of 0.4 GB. A larger model is built in Python, and gets the file's weights by
# `load_weights`.
_MOST_VARIABLES, _MOST_BYTES = 2**13, 2**30


@tf_keras.saving.register_keras_serializable("tfp_realnvp")  # A file names it so, wherever its module lies.
class FlowModel(LikelihoodModel):
    """Trains a `tfd.Distribution` over images by `compile`, `fit`, `evaluate` and `predict`.

    Data are images [N, H, W, C] of whole numbers in [0, levels), any integer or float type, as NumPy arrays or
    `tf.data`; for a conditional flow, pairs (images, conditioning).

        minimised = mean(-log_prob(images + noise)) + l2 * sum(v ** 2 over regularized variables)      nats per image

    so that clip norm and `l2` mean what they mean in the paper. Logs are in bits/dim: `loss` is the above over
    H * W * C * ln 2, and `bits_per_dim` is without the penalty. Noise is uniform in [0, 1). It is drawn anew in each
    training step and is the same in every evaluation. `predict` returns bits/dim per image, [N].

    Under a `tf.distribute` strategy the batch is split over the replicas, and each needs at least one image: batch a
    dataset with `drop_remainder=True`. If the shares are equal, the result is that of one replica.

    A step whose loss or gradient is not finite changes no weight, and `fit` raises `FloatingPointError` that names the
    step and the first layer that was not finite. Under the policy "mixed_float16" the loss is scaled, as by Keras:
    while the scale can be lowered, steps whose gradients are not finite are left out.

    `save("NAME.keras")` and a `ModelCheckpoint` keep everything that training needs to go on, and
    `tf_keras.models.load_model` returns it, compiled and the same bit for bit. `export(DIRECTORY)` writes a SavedModel
    for serving, with the weights of `evaluate`.

    >>> flow = RealNVPImage(channels=1, num_scales=1, width=4, residual_blocks=0)
    >>> prior = tfd.Sample(tfd.Normal(0.0, 1.0), sample_shape=[4, 4, 1])
    >>> model = FlowModel(tfd.TransformedDistribution(prior, flow))
    >>> model.compile()
    >>> history = model.fit(np.zeros([8, 4, 4, 1], np.uint8), epochs=2, verbose=0)
    >>> sorted(history.history)
    ['bits_per_dim', 'loss']
    """

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: Any = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        **kwargs: Any,
    ) -> tf_keras.callbacks.History:
        """As in Keras; images are checked first, and a step that is not finite raises `FloatingPointError`.

        Args:
          x: images [N, H, W, C], or a dataset of images or of pairs (images, conditioning).
          y: conditioning [N, K] or None.
          batch_size, epochs, verbose, callbacks, validation_split, validation_data, shuffle, class_weight,
            sample_weight, **kwargs: as in Keras.
        """
        self._check_images("x", x, y)
        if hasattr(validation_data, "shape"):
            validation_data = (validation_data,)  # Keras would compare an array with None.
        if isinstance(validation_data, tuple) and validation_data:
            self._check_images("validation_data", *validation_data[:2])
        elif validation_data is not None:
            self._check_images("validation_data", validation_data)
        check_callbacks(callbacks, self)
        self._failure.reset()
        return super().fit(
            x,
            y_beside_weights(x, y, sample_weight),
            batch_size,
            epochs,
            verbose,
            with_stop_on_failure(self._failure, callbacks, self),
            validation_split,
            validation_data,
            shuffle,
            class_weight,
            sample_weight,
            **kwargs,
        )

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        **kwargs: Any,
    ) -> Any:
        """As in Keras, with the averaged weights if the model keeps any; the noise is the same every time."""
        self._check_images("x", x, y)
        y = y_beside_weights(x, y, sample_weight)
        with self._evaluating():
            return super().evaluate(x, y, batch_size, verbose, sample_weight, steps, callbacks, **kwargs)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
        *,
        draw: int = 0,
        **kwargs: Any,
    ) -> Any:
        """Returns the bits/dim of each image, NumPy [N], with the weights of `evaluate`.

        Args:
          x: images, a pair (images, conditioning) of arrays, or a dataset.
          draw: Python int, the number of a draw of the noise; 0 is that of `evaluate`. Several draws together give
            `importance_weighted_bits_per_dim`.
          batch_size, verbose, steps, callbacks, **kwargs: as in Keras.
        """
        most = 2**31 - 1 if self.dequantize else 0
        check_int("draw", draw, 0, most, "which selects the noise; 0 for `dequantize=False`, which adds none")
        self._check_images("x", *(x if isinstance(x, tuple) and len(x) == 2 else (x,)))
        with self._evaluating(draw):
            return super().predict(x, batch_size, verbose, steps, callbacks, **kwargs)

    @contextlib.contextmanager
    def evaluation_weights(self) -> Iterator[None]:
        """Within the block the distribution has the weights that `evaluate` uses: the averages, if there are any.

        Running statistics that are set in the block, as by `recalibrate`, stay with these weights.
        """
        with self.averages.swapped_in() if self.averages is not None else contextlib.nullcontext():
            yield

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments, the distribution among them as `save_flow` describes it.

        Raises:
          TypeError: if something in the distribution can't be described, e.g. a function; the message says where.
        """
        return {
            "versions": versions(),
            "distribution": describe(self.distribution),
            "levels": self.levels,
            "dequantize": self.dequantize,
            "l2": self.l2,
            "averaging": None if self.averages is None else self.averages.decay,
            "seed": int(self.seed.numpy()),
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "FlowModel":
        """Returns a model of the same arguments, with new weights.

        Raises:
          ValueError: if the configuration leads to no model, or to more variables than `load_model` builds.
        """
        arguments = dict(config)
        saved_by = arguments.pop("versions", None)
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
            return cls(**arguments)
        except (TypeError, ValueError, tf.errors.OpError) as error:
            raise ValueError(
                f"`config` of the file: {listed(versions())} builds no FlowModel of it ({error}); it was saved by "
                f"{listed(saved_by)}. Load it with these versions, or save the model once more."
            ) from error

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Does nothing: all variables exist already. Keras would call the model with a shape from the file."""

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles as before; Keras leaves that to models with a `compile` of their own."""
        try:
            check_keras_object(config)
            self.compile(**tf_keras.saving.deserialize_keras_object(config))
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(
                f"`compile_config` of the file: {listed(versions())} compiles no FlowModel by it ({error}); load it "
                "with `compile=False`, and compile the model yourself."
            ) from error

    def check_finite(self) -> None:
        """Raises ValueError that names the variable if a weight, a statistic or an average is not finite."""
        check_finite(self.variables)

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
        check_filepath(filepath)
        self.check_finite()
        path = pathlib.Path(filepath)
        if "://" in os.fspath(filepath) or (path.exists() and not overwrite):  # Keras asks before it overwrites.
            super().save(filepath, overwrite, **kwargs)
            return
        with written_whole(path) as hidden:
            super().save(hidden, **kwargs)

    def export(self, filepath: Any) -> str:
        """Writes a SavedModel to FILEPATH/N, by `export_saved_model`, with the weights of `evaluate`; returns where."""
        with self.evaluation_weights():
            return export_saved_model(self.distribution, filepath, levels=self.levels)

    @contextlib.contextmanager
    def _evaluating(self, draw: int = 0) -> Iterator[None]:
        """Within the block, evaluation starts from its first batch, with its own weights."""
        self._evaluated_batches.assign(0)
        self._draw.assign(draw)
        try:
            with self.evaluation_weights():
                yield
        finally:  # So that what a checkpoint holds does not depend on whether the model was evaluated.
            self._evaluated_batches.assign(0)
            self._draw.assign(0)

    def _check_images(self, argument: str, data: Any, conditioning: Any = None) -> None:
        model = {"distribution": self.distribution, "levels": self.levels, "whole": self.dequantize}
        check_images(argument, data, conditioning, **model)
