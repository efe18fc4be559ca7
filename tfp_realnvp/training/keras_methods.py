"""The methods of Keras that a `FlowModel` has with checks, noise and weights of its own, under either Keras."""

import contextlib
import numbers
from typing import Any

import tensorflow as tf

from tfp_realnvp.checks import check_int
from tfp_realnvp.training.averages import WeightAverages
from tfp_realnvp.training.callbacks import check_callbacks, with_stop_on_failure
from tfp_realnvp.training.data import y_beside_weights
from tfp_realnvp.training.likelihood_steps import LikelihoodSteps

_PAIR = "pass conditioning in a pair, `predict((x, c))`, or a `tf.data.Dataset` of pairs"


class KerasMethods(LikelihoodSteps):
    """The part of a `FlowModel` that is called as any Keras model is: `fit`, `evaluate`, `predict`.

    A subclass is a model of one Keras as well.
    """

    @property
    def levels(self) -> int:
        """How many values a pixel can have."""
        return self.likelihood.levels

    @property
    def dequantize(self) -> bool:
        """Whether noise is added to images."""
        return self.likelihood.dequantize

    @property
    def l2(self) -> float:
        """The weight of the penalty."""
        return self.likelihood.l2

    @property
    def seed(self) -> tf.Variable:
        """The seed of all noise, an int64 scalar."""
        return self.likelihood.seed

    @property
    def averages(self) -> WeightAverages | None:
        """The moving averages of weights and statistics, or None."""
        return self.likelihood.averages

    def evaluation_weights(self) -> contextlib.AbstractContextManager[None]:
        """Within the block the distribution has the weights that `evaluate` uses: the averages, if there are any.

        Running statistics that are set in the block, as by `recalibrate`, stay with these weights.
        """
        return self.likelihood.evaluation_weights()

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
    ) -> Any:
        """As in Keras; images are checked first, and a step that is not finite raises `FloatingPointError`.

        Layers that start from data, and have yet to, start from the first batch: see `initialize_from_data`.

        Args:
          x: images [N, H, W, C], or a dataset of images or of pairs (images, conditioning).
          y: conditioning [N, K] or None.
          sample_weight: weights [N] of the images.
          **kwargs: these and all others as in Keras.

        Returns:
          Keras' `History`.
        """
        self.check_compiled()
        if class_weight is not None:
            raise ValueError(
                f"`class_weight`={class_weight!r}: images of a flow have no classes, and y is conditioning; weigh each "
                "image by `sample_weight`."
            )
        likelihood, strategy = self.likelihood, self.distribute_strategy
        likelihood.check_images("x", x, y)
        if hasattr(validation_data, "shape"):
            validation_data = (validation_data,)  # Keras would compare an array with None.
        if isinstance(validation_data, tuple) and validation_data:
            likelihood.check_images("validation_data", *validation_data[:2])
            if len(validation_data) == 3:
                images, conditioning, weights = validation_data
                validation_data = images, y_beside_weights(images, conditioning, weights), weights
        elif validation_data is not None:
            likelihood.check_images("validation_data", validation_data)
        check_callbacks(callbacks, self)
        # Keras 3 warns of data that it can't shuffle, though nobody asked for it.
        shuffle = shuffle if hasattr(x, "shape") or hasattr(x, "__getitem__") else False
        x = likelihood.look_at_first_batch(x, y, batch_size, validation_split, strategy)
        likelihood.failure.reset()
        return super().fit(
            x,
            y_beside_weights(x, y, sample_weight),
            batch_size,
            epochs,
            verbose,
            with_stop_on_failure(callbacks, self),
            validation_split,
            validation_data,
            shuffle,
            class_weight,
            sample_weight,
            **kwargs,
        )

    def train_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """As in Keras; a step that is not finite raises `FloatingPointError`, and the next call takes a step again."""
        self.check_compiled()
        self.likelihood.failure.reset()
        logs = super().train_on_batch(*args, **kwargs)
        self.likelihood.failure.raise_if_any()
        return logs

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
        self.likelihood.check_images("x", x, y)
        y = y_beside_weights(x, y, sample_weight)
        with self.likelihood.evaluating():
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
          x: images, or a pair (images, conditioning) of arrays, `predict((x, c))`, or a dataset or Keras' `Sequence` or
            `PyDataset` of batches of either.
          draw: Python int, the number of a draw of the noise; 0 is that of `evaluate`. Several draws together give
            `importance_weighted_bits_per_dim`.
          batch_size, verbose, steps, callbacks, **kwargs: as in Keras.
        """
        most = 2**31 - 1 if self.dequantize else 0
        check_int("draw", draw, 0, most, "which selects the noise; 0 for `dequantize=False`, which adds none")
        if batch_size is not None and not isinstance(batch_size, numbers.Integral):
            raise TypeError(
                f"`batch_size` is of type {type(batch_size).__name__}: must be an int; if it is conditioning, {_PAIR}."
            )
        images, conditioning = x if isinstance(x, tuple) and len(x) == 2 else (x, None)
        self.likelihood.check_images("x", images, conditioning, pass_it=_PAIR)
        with self.likelihood.evaluating(draw):
            return super().predict(x, batch_size, verbose, steps, callbacks, **kwargs)

    def initialize_from_data(self, images: Any, conditioning: Any = None) -> None:
        """Starts the layers that start from data and have yet to, and averages of weights after them.

        `fit` does so by itself with its first batch; this is for those who want samples before. The function of this
        name leaves averages as they are, so call this method where there is a model.

        Args:
          images: array or tensor [N, H, W, C] of images as `fit` takes them, one batch for all replicas.
          conditioning: numbers [N, K] or None.

        Raises:
          FloatingPointError, TypeError, ValueError, RuntimeError: see the function of this name.
        """
        self.likelihood.initialize(images, conditioning, self.distribute_strategy)
