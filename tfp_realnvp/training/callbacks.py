"""Keras callbacks: the one that stops a `fit`, and checks of those that users pass."""

from typing import Any

import tensorflow as tf

from tfp_realnvp.checks import check_not_keras_3
from tfp_realnvp.training.model_files import ModelFiles


def with_stop_on_failure(callbacks: Any, model: ModelFiles) -> Any:
    """Returns `callbacks`, as given to `fit`, with one before them that raises an error as soon as a step has failed.

    It comes first, so that no other callback sees or saves a model after a failed step.
    """
    kinds, failure = model.library.callbacks, model.likelihood.failure
    stop = kinds.LambdaCallback(on_train_batch_end=lambda batch, logs: failure.raise_if_any())
    if not isinstance(callbacks, kinds.CallbackList):
        return [stop, *tf.nest.flatten(callbacks or [])]
    # A list decides when it is made which hooks to call, so a new one is made.
    params = getattr(callbacks, "params", None) or {}
    return kinds.CallbackList([stop, *callbacks.callbacks], model=model, **params)


def check_callbacks(callbacks: Any, model: ModelFiles) -> None:
    """Raises an error if one is not of the model's Keras, or is a `ModelCheckpoint` that could not save `model`."""
    kinds = model.library.callbacks
    for callback in tf.nest.flatten(getattr(callbacks, "callbacks", callbacks) or []):
        if not isinstance(callback, kinds.Callback):
            if model.library.__name__ == "tf_keras":
                check_not_keras_3("callbacks", callback)
            raise TypeError(f"`callbacks` hold {callback!r}: must be of {model.library.__name__}.callbacks.")
        if isinstance(callback, kinds.ModelCheckpoint) and not callback.save_weights_only:
            model.check_can_be_saved(callback.filepath)
        # Keras 3 finds out for metrics of its own alone, and after an epoch, which way a log is better.
        monitored = str(getattr(callback, "monitor", "")).removeprefix("val_")
        if getattr(callback, "mode", None) == "auto" and monitored in [metric.name for metric in model.metrics]:
            callback.mode = "min"
