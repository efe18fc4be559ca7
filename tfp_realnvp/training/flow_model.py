"""Maximum likelihood for any distribution over images, as a Keras model (paper, section 4.1)."""

import contextlib
import numbers
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
import tf_keras

from tfp_realnvp.checks import check_int
from tfp_realnvp.pixels import dequantize
from tfp_realnvp.training.callbacks import check_callbacks, with_stop_on_failure
from tfp_realnvp.training.data import check_images, y_beside_weights
from tfp_realnvp.training.density_model import DensityModel
from tfp_realnvp.training.initialization import first_batch, initialize_from_data, uninitialized

_BEFORE_TRAINING = -1  # Selects noise that no step gets.
_PAIR = "pass conditioning in a pair, `predict((x, c))`, or a `tf.data.Dataset` of pairs"


@tf_keras.saving.register_keras_serializable("tfp_realnvp")  # A file names it so, wherever its module lies.
class FlowModel(DensityModel):
    """Trains a `tfd.Distribution` over images by `compile`, `fit`, `evaluate` and `predict`.

    Data are images [N, H, W, C] of whole numbers in [0, levels), any integer or float type, as NumPy arrays or
    `tf.data`; for a conditional flow, pairs (images, conditioning).

        minimised = mean(-log_prob(images + noise)) + l2 * sum(v ** 2 over regularized variables)      nats per image

    so that clip norm and `l2` mean what they mean in the paper. Logs are in bits/dim: `loss` is the above over
    H * W * C * ln 2, and `bits_per_dim` is without the penalty. Training alone has `gradient_norm`, the mean over steps
    of the global norm of the gradients before clipping, nats per image. Noise is uniform in [0, 1). It is drawn anew in
    each training step and is the same in every evaluation. `predict` returns bits/dim per image, [N]; `sample` draws
    pictures and `log_prob` gives nats, both with the weights that `evaluate` uses.

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
    ['bits_per_dim', 'gradient_norm', 'loss']
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

        Layers that start from data, and have yet to, start from the first batch: see `initialize_from_data`.

        Args:
          x: images [N, H, W, C], or a dataset of images or of pairs (images, conditioning).
          y: conditioning [N, K] or None.
          batch_size, epochs, verbose, callbacks, validation_split, validation_data, shuffle, class_weight,
            sample_weight, **kwargs: as in Keras.
        """
        self.check_compiled()
        if class_weight is not None:
            raise ValueError(
                f"`class_weight`={class_weight!r}: images of a flow have no classes, and y is conditioning; weigh each "
                "image by `sample_weight`."
            )
        self._check_images("x", x, y)
        if hasattr(validation_data, "shape"):
            validation_data = (validation_data,)  # Keras would compare an array with None.
        if isinstance(validation_data, tuple) and validation_data:
            self._check_images("validation_data", *validation_data[:2])
        elif validation_data is not None:
            self._check_images("validation_data", validation_data)
        check_callbacks(callbacks, self)
        x = self._look_at_first_batch(x, y, batch_size, validation_split)
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
          x: images, or a pair (images, conditioning) of arrays, `predict((x, c))`, or a dataset or `Sequence` of
            batches of either.
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
        self._check_images("x", images, conditioning, pass_it=_PAIR)
        with self._evaluating(draw):
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
        self._check_images("images", images, conditioning)
        if not hasattr(images, "shape"):
            raise TypeError(f"`images`={images!r}: must be an array or tensor, one batch, e.g. `next(iter(dataset))`.")
        if not uninitialized(self.distribution):
            return
        with self.distribute_strategy.scope():
            if self.dequantize:
                images = dequantize(images, self.levels, seed=tf.stack([self.seed, _BEFORE_TRAINING]))
            initialize_from_data(self.distribution, images, conditioning=conditioning)
        if self.averages is not None:
            self.averages.restart()

    def _look_at_first_batch(self, x: Any, y: Any, batch_size: int | None, validation_split: float) -> Any:
        """Starts the layers that start from data and have yet to; returns x with all its batches still to come."""
        if not uninitialized(self.distribution):
            return x
        with self.distribute_strategy.scope():
            x, (images, conditioning) = first_batch(x, y, batch_size, validation_split)
        self.initialize_from_data(images, conditioning)
        return x

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

    def _check_images(self, argument: str, data: Any, conditioning: Any = None, pass_it: str | None = None) -> None:
        model = {"distribution": self.distribution, "levels": self.levels, "whole": self.dequantize}
        check_images(argument, data, conditioning, **model, pass_it=pass_it)
