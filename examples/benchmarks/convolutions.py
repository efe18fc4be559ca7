"""The convolutions of a graph, run alone: a limit to compare a flow's speed with."""

import collections
import dataclasses

import tensorflow as tf

_TYPES = ("Conv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter")


@dataclasses.dataclass(frozen=True)
class Convolution:
    """One convolution, stride 1 and zero padding, or one of its two gradients.

    Attributes:
      type: type of the TensorFlow operation, one of `_TYPES`.
      images: shape of the convolution's input, [N, H, W, channels in].
      filters: shape of its filters, [size, size, channels in, channels out].
      dtype: type of all its tensors.
    """

    type: str
    images: tuple[int, ...]
    filters: tuple[int, ...]
    dtype: tf.DType

    @property
    def output(self):
        """Shape of the convolution's output, [N, H, W, channels out]."""
        return (*self.images[:3], self.filters[3])

    @property
    def multiplications(self):
        """The number of multiplications; a gradient needs as many as the convolution itself."""
        rows, columns, channels_in, channels_out = self.filters
        return rows * columns * channels_in * channels_out * self.images[0] * self.images[1] * self.images[2]


def convolutions(graph):
    """Returns a list of the `Convolution`s of a `tf.Graph` with static shapes, in the order in which they were traced.

    Raises:
      ValueError: if a convolution has a stride or padding that `bare` does not support.
    """
    found = []
    for operation in _operations(graph):
        if operation.type not in _TYPES:
            continue
        if list(operation.get_attr("strides")) != [1, 1, 1, 1] or operation.get_attr("padding") != b"SAME":
            raise ValueError(f"`graph` has {operation.name}: must have stride 1 and zero padding; extend `bare`.")
        first, second = (tuple(tensor.shape) for tensor in operation.inputs[:2])
        result = tuple(operation.outputs[0].shape)
        images, filters = {
            "Conv2D": (first, second),
            "Conv2DBackpropInput": (result, second),
            "Conv2DBackpropFilter": (first, result),
        }[operation.type]
        found.append(Convolution(operation.type, images, filters, operation.outputs[0].dtype))
    return found


def gigamultiplications(work):
    """Returns the number of multiplications of a list of `Convolution`, in units of 10 ** 9."""
    return sum(w.multiplications for w in work) / 1e9


def _operations(graph):
    """Yields the operations of a graph and of the functions that it calls, as traced, that some output needs.

    A tape also traces gradients to the images, which nothing needs and which TensorFlow removes later.
    """
    for part in [graph, *(function.graph for function in graph._functions.values())]:  # No public name lists them.
        waiting, needed = [*(output.op for output in part.outputs), *part.control_outputs], set()
        while waiting:
            operation = waiting.pop()
            if operation not in needed:
                needed.add(operation)
                waiting += [*(tensor.op for tensor in operation.inputs), *operation.control_inputs]
        yield from (operation for operation in part.get_operations() if operation in needed)


def bare(work):
    """Returns a function that runs exactly these convolutions, one after the other, and does little else.

    Each convolution reads variables and adds one number to a sum, which the next convolution waits for. So TensorFlow
    can't fold one into a constant, merge two, run two at the same time, or leave one out.

    Args:
      work: list of `Convolution`.
    """
    variables: dict = collections.defaultdict(list)
    num_own: collections.Counter = collections.Counter()

    def variable(shape, dtype, own=False):
        """Returns a variable that all of a shape share, or a convolution's own: a network has filters for each."""
        key = shape, dtype
        num_own[key] += own
        index = num_own[key] if own else 0
        while len(variables[key]) <= index:
            variables[key].append(tf.Variable(tf.cast(tf.random.stateless_normal(shape, [0, 1]), dtype)))
        return variables[key][index]

    operands = [
        (
            variable(w.images, w.dtype) if w.type != "Conv2DBackpropInput" else None,
            variable(w.filters, w.dtype, own=True) if w.type != "Conv2DBackpropFilter" else None,
            variable(w.output, w.dtype) if w.type != "Conv2D" else None,
        )
        for w in work
    ]

    @tf.function
    def run():
        total = tf.zeros([])
        for w, (images, filters, gradient) in zip(work, operands, strict=True):
            with tf.control_dependencies([total]):
                result = _apply(w, images, filters, gradient)
                total += tf.cast(tf.reshape(result, [-1])[0], tf.float32)
        return total

    return run


def _apply(work, images, filters, gradient):
    options = {"strides": [1, 1, 1, 1], "padding": "SAME"}
    if work.type == "Conv2D":
        return tf.nn.conv2d(images, filters, **options)
    if work.type == "Conv2DBackpropInput":
        return tf.raw_ops.Conv2DBackpropInput(input_sizes=work.images, filter=filters, out_backprop=gradient, **options)
    return tf.raw_ops.Conv2DBackpropFilter(input=images, filter_sizes=work.filters, out_backprop=gradient, **options)
