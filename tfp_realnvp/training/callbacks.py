"""Keras callbacks: the one that stops a `fit`, and checks of those that users pass."""

import os
from typing import Any

import tensorflow as tf
import tf_keras

from tfp_realnvp.checks import check_not_keras_3
from tfp_realnvp.training.failures import Failure


class StopOnFailure(tf_keras.callbacks.Callback):
    """Raises FloatingPointError as soon as a step has failed."""

    def __init__(self, failure: Failure) -> None:
        super().__init__()
        self._failure = failure

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._failure.raise_if_any()


def with_stop_on_failure(failure: Failure, callbacks: Any, model: tf_keras.Model) -> Any:
    """Returns `callbacks`, as given to `fit`, with a `StopOnFailure` before them.

    It comes first, so that no other callback sees or saves a model after a failed step.
    """
    stop = StopOnFailure(failure)
    if not isinstance(callbacks, tf_keras.callbacks.CallbackList):
        return [stop, *tf.nest.flatten(callbacks or [])]
    # A list decides when it is made which hooks to call, so a new one is made.
    params = getattr(callbacks, "params", None) or {}
    return tf_keras.callbacks.CallbackList([stop, *callbacks.callbacks], model=model, **params)


def check_filepath(filepath: Any) -> None:
    """Raises ValueError unless Keras will write a file NAME.keras to `filepath`."""
    if not os.fspath(filepath).endswith(".keras"):
        raise ValueError(
            f"`filepath`={filepath}: must end in .keras to hold the whole model; `save_weights` writes the weights "
            "alone, `export` a SavedModel."
        )


def check_callbacks(callbacks: Any, model: tf_keras.Model) -> None:
    """Raises an error if one is not of tf_keras, or is a `ModelCheckpoint` that could not save `model`."""
    for callback in tf.nest.flatten(getattr(callbacks, "callbacks", callbacks) or []):
        check_not_keras_3("callbacks", callback)
        if not isinstance(callback, tf_keras.callbacks.Callback):
            raise TypeError(f"`callbacks` hold {callback!r}: must be of tf_keras.callbacks.")
        if isinstance(callback, tf_keras.callbacks.ModelCheckpoint) and not callback.save_weights_only:
            check_filepath(callback.filepath)
            model.get_config()
