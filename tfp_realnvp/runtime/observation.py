"""Observation of layers: whether each layer's output was finite, noted while a training step is traced."""

import contextlib
import dataclasses
from collections.abc import Iterator

import tensorflow as tf

from tfp_realnvp.runtime.ambient import ambient, within
from tfp_realnvp.runtime.recomputation import recomputing


def _graph() -> tf.Graph | None:
    return None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()


class LayerRecord:
    """The layers in the order of their evaluation.

    Attributes:
      names: list of str.
      sums: list of float32 scalars, one for each layer. A finite sum shows that the layer's output was finite.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.sums: list[tf.Tensor] = []
        self._graph = _graph()

    def accepts(self) -> bool:
        """Whether a tensor made here can be used where the record was opened; not so in the body of a loop."""
        return _graph() is self._graph


@contextlib.contextmanager
def observing_layers() -> Iterator[LayerRecord]:
    """Yields a `LayerRecord` that the bijectors evaluated in the block write to."""
    record = LayerRecord()
    with within(dataclasses.replace(ambient(), layer_record=record)):
        yield record


def observe(name: str, value: tf.Tensor, log_det: tf.Tensor) -> None:
    """Notes the output of the layer `name`; does nothing outside of `observing_layers`."""
    record = ambient().layer_record
    if record is not None and record.accepts() and not recomputing():
        # A NaN or an infinity survives a sum, which is one pass over the values; `is_finite` would take two.
        record.names.append(name)
        record.sums.append(tf.reduce_sum(tf.cast(value, tf.float32)) + tf.reduce_sum(tf.cast(log_det, tf.float32)))
