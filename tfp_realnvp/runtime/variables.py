"""Variables whose sizes are known, and can be refused, before any memory is taken for them."""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf


def late_variable(
    initial: Callable[[], tf.Tensor], name: str, shape: Sequence[int], dtype: tf.DType, **options: Any
) -> tf.Variable:
    """Returns a variable whose value is made after `limited_variables` has seen its shape.

    Args:
      initial: function without arguments that returns the value at the start.
      name: Python str.
      shape, dtype: those of the value.
      **options: of `tf.Variable`.
    """
    return tf.Variable(initial, shape=shape, dtype=dtype, name=name, **options)


@contextlib.contextmanager
def limited_variables(most: int, most_bytes: int, *, make: bool = True) -> Iterator[None]:
    """Raises ValueError in the block before a variable is made that is one too many or too large.

    It sees the shape of a `late_variable`, and of a Keras layer's, before their values exist.

    Args:
      most: how many variables may be made in the block.
      most_bytes: how many bytes they may take together.
      make: whether to make them. If not, they are only counted, and constructors get an object of no use instead.
    """
    made = made_bytes = 0

    def create(next_creator: Callable, **arguments: Any) -> tf.Variable:
        nonlocal made, made_bytes
        shape, value = arguments.get("shape"), arguments.get("initial_value")
        if shape is None:  # A value that is there already, such as a Python number.
            shape = tf.convert_to_tensor(value() if callable(value) else value).shape
        dtype = tf.as_dtype(arguments.get("dtype") or getattr(value, "dtype", tf.float32))
        made += 1
        made_bytes += math.prod(tf.TensorShape(shape).as_list()) * dtype.size
        if made > most or made_bytes > most_bytes:
            raise ValueError(
                f"its variable {arguments.get('name')!r} of shape {shape} is number {made} and takes them to "
                f"{made_bytes:,} bytes: must be at most {most:,} variables of {most_bytes:,} bytes together"
            )
        return next_creator(**arguments) if make else object()

    with tf.variable_creator_scope(create):
        yield
