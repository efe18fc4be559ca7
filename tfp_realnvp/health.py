"""Which layer made the first NaN: every layer's finiteness, recorded while a training step is traced; and the stop."""

import contextlib
import contextvars

import tensorflow as tf
import tf_keras

from tfp_realnvp.replicas import replica_local


class HealthRecord:
    """Layers in the order of their evaluation, each with a scalar that is finite if the layer's output was."""

    def __init__(self):
        self.names = []
        self.sums = []
        self._graph = tf.compat.v1.get_default_graph() if not tf.executing_eagerly() else None

    def accepts(self):
        """Whether a tensor made here and now can be used where the record was opened (not inside a loop body)."""
        return (None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()) is self._graph


_record: contextvars.ContextVar[HealthRecord | None] = contextvars.ContextVar("tfp_realnvp_health", default=None)


@contextlib.contextmanager
def recording():
    """Opens a `HealthRecord` that the bijectors evaluated in the block write to."""
    record = HealthRecord()
    token = _record.set(record)
    try:
        yield record
    finally:
        _record.reset(token)


def observe(name, value, log_det):
    """Notes the output of the layer `name`; does nothing outside `recording`."""
    record = _record.get()
    if record is not None and record.accepts():
        # Sums rather than is_finite: one pass, and a NaN or an infinity survives a sum.
        record.names.append(name)
        record.sums.append(tf.reduce_sum(tf.cast(value, tf.float32)) + tf.reduce_sum(tf.cast(log_det, tf.float32)))


class Failure(tf.Module):
    """Remembers the first training step whose loss or gradients were not finite, and where that came from."""

    def __init__(self, name="failure"):
        super().__init__(name=name)
        self._layers, self._weights = [], []
        with tf.name_scope(name):
            # Step, index of the layer, index of the weight; -1 for none.
            self._where = replica_local(tf.constant([-1, -1, -1], tf.int64), "where")

    def reset(self):
        """Forgets a failure."""
        self._where.assign([-1, -1, -1])

    def check(self, step, loss, record, gradients, variables, excused=False):
        """Notes a failure of this step, and returns whether this and all earlier steps were finite (scalar bool).

        Args:
          step: int64 scalar, counted from 0.
          loss: scalar.
          record: `HealthRecord` of the step.
          gradients: list of tensors, summed over the replicas.
          variables: those that the gradients are of.
          excused: bool or scalar bool; gradients that are not finite are no failure.
        """
        self._layers = list(record.names)
        self._weights = [v.name for v in variables]
        layers = tf.math.is_finite(tf.stack([*record.sums, tf.cast(loss, tf.float32)]))
        # Backpropagation walks from the last layer to the first: the last one in the list failed first.
        # Squares: clipping by the norm makes NaN of a finite gradient whose norm is not.
        squares = 2 * tf.stack([tf.nn.l2_loss(tf.cast(g, tf.float32)) for g in reversed(gradients)])
        weights = tf.math.is_finite(squares) | excused
        norm = tf.math.is_finite(tf.reduce_sum(squares)) | excused
        finite = tf.reduce_all(layers) & tf.reduce_all(weights) & norm
        found = tf.stack([step, _first_false(layers), _first_false(weights)])
        earlier = tf.identity(self._where)
        fine_so_far = earlier[0] < 0
        self._where.assign(tf.where(fine_so_far & ~finite, found, earlier))
        return finite & fine_so_far

    def raise_if_any(self):
        """Raises FloatingPointError if a step has failed."""
        step, layer, weight = (int(i) for i in self._where.numpy())
        if step < 0:
            return
        if 0 <= layer < len(self._layers):
            cause = f"the output of layer {self._layers[layer]!r}"
        elif layer >= 0:
            cause = "the likelihood" + (", though every layer's output was finite" if self._layers else "")
        else:
            cause = f"the gradient of {self._weights[len(self._weights) - 1 - weight]!r}"
        raise FloatingPointError(
            f"step {step + 1}: not finite: {cause}. No weight was changed by this step. Check the images, lower the "
            "learning rate or the clip norm, and go on from the last checkpoint."
        )


class _StopOnFailure(tf_keras.callbacks.Callback):
    """Raises as soon as a step has failed."""

    def __init__(self, failure):
        super().__init__()
        self._failure = failure

    def on_train_batch_end(self, batch, logs=None):
        self._failure.raise_if_any()


def stop_on_failure(failure, callbacks, model):
    """Returns what `fit` got as callbacks, and before them one that raises as soon as a step has failed.

    Before them, so that no other one sees, or saves, a model after a failed step.
    """
    stop = _StopOnFailure(failure)
    if not isinstance(callbacks, tf_keras.callbacks.CallbackList):
        return [stop, *tf.nest.flatten(callbacks or [])]
    # A new list: whether to call hooks of batches is settled when a list is made.
    params = getattr(callbacks, "params", None) or {}
    return tf_keras.callbacks.CallbackList([stop, *callbacks.callbacks], model=model, **params)


def _first_false(flags):
    index = tf.argmin(tf.cast(flags, tf.int32), output_type=tf.int64)
    return tf.where(tf.reduce_all(flags), tf.constant(-1, tf.int64), index)
