"""What a request to a SavedModel is: inputs with their defaults, and checks in the graph."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import tensorflow as tf


class Input(NamedTuple):
    """An input of a signature; one without a default must be in every request."""

    spec: tf.TensorSpec
    meaning: str
    default: tf.Tensor | None = None


class Signature(NamedTuple):
    """A function of the inputs, and the units of its outputs."""

    function: tf.types.experimental.PolymorphicFunction
    inputs: dict[str, Input]
    outputs: dict[str, str]


def require(value: tf.Tensor, condition: tf.Tensor, rule: str, *values: Any) -> tf.Tensor:
    """Returns `value`; the request fails with the formatted `rule` if `condition` does not hold."""
    message = tf.strings.format(rule, values, summarize=8) if values else tf.constant(rule)
    with tf.control_dependencies([tf.debugging.Assert(condition, [message])]):
        return tf.identity(value)


def graph_function(name: str, body: Callable, inputs: Mapping[str, Input]) -> tf.types.experimental.PolymorphicFunction:
    """Returns a `tf.function` of `inputs`, whose defaults a SavedModel keeps."""

    def call(*args: tf.Tensor) -> Any:
        # A server feeds any shape; the error has the name of the node that refuses it.
        named = {
            k: tf.ensure_shape(v, inputs[k].spec.shape, name=f"input_{k}") for k, v in zip(inputs, args, strict=True)
        }
        return body(**named)

    kind, no_default = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.empty
    parameters = [
        inspect.Parameter(k, kind, default=no_default if v.default is None else v.default) for k, v in inputs.items()
    ]
    call.__name__ = name
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    specs = [tf.TensorSpec(v.spec.shape, v.spec.dtype, name=k) for k, v in inputs.items()]
    return tf.function(call, input_signature=specs, autograph=False)
