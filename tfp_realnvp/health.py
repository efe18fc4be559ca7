"""Which layer made the first NaN: a record of every layer's finiteness, kept while a training step is traced."""

import contextlib
import contextvars

import tensorflow as tf

_record = contextvars.ContextVar("tfp_realnvp_health", default=None)


class HealthRecord:
    """Layers in the order of their evaluation, each with a scalar that is finite if the layer's output was."""

    def __init__(self):
        self.names = []
        self.sums = []
        self._graph = tf.compat.v1.get_default_graph() if not tf.executing_eagerly() else None

    def accepts(self):
        """Whether a tensor made here and now can be used where the record was opened (not inside a loop body)."""
        return (None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()) is self._graph


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
