"""The convolutions of a graph, alone: what a flow's speed is held against."""

import collections
import dataclasses

import tensorflow as tf

_TYPES = ("Conv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter")


@dataclasses.dataclass(frozen=True)
class Convolution:
    """One convolution, stride 1 and zero padding, or one of its two gradients.

    Attributes:
      type: of the TensorFlow operation, one of `_TYPES`.
      images: its input's shape [N, H, W, channels in].
      filters: [size, size, channels in, channels out].
      dtype: of all its tensors.
    """

    type: str
    images: tuple[int, ...]
    filters: tuple[int, ...]
    dtype: tf.DType

    @property
    def output(self):
        """Its output's shape [N, H, W, channels out]."""
        return (*self.images[:3], self.filters[3])

    @property
    def multiplications(self):
        """Products that are added up; the gradients have as many."""
        rows, columns, channels_in, channels_out = self.filters
        return rows * columns * channels_in * channels_out * self.images[0] * self.images[1] * self.images[2]


def convolutions(graph):
    """Returns the `Convolution`s of a `tf.Graph` of static shapes, in the order in which they were traced.

    Raises:
      ValueError: for a stride or padding that `bare` would not repeat.
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
    """How many 10 ** 9 products a list of `Convolution` adds up."""
    return sum(w.multiplications for w in work) / 1e9


def _operations(graph):
    """The operations of a graph and of the functions that it calls, as traced, but for those that nothing waits for.

    A tape also traces the gradients of images that nobody asks for, and TensorFlow leaves them out later.
    """
    for one in [graph, *(function.graph for function in graph._functions.values())]:  # No public name lists them.
        waiting, needed = [*(output.op for output in one.outputs), *one.control_outputs], set()
        while waiting:
            operation = waiting.pop()
            if operation not in needed:
                needed.add(operation)
                waiting += [*(tensor.op for tensor in operation.inputs), *operation.control_inputs]
        yield from (operation for operation in one.get_operations() if operation in needed)


def bare(work):
    """Returns a function that does exactly these convolutions, one after the other, and nothing else worth time.

    Every convolution reads variables and gives one number to a sum that the next one waits for: so none can be folded
    into a constant, taken for another one's result, run beside another one, or left out.

    Args:
      work: list of `Convolution`.
    """
    variables: dict = collections.defaultdict(list)
    used: collections.Counter = collections.Counter()

    def variable(shape, dtype, own=False):
        """One for all of a shape; filters, which a network has as many of as of convolutions, are their own."""
        key = shape, dtype
        used[key] += own
        place = used[key] if own else 0
        while len(variables[key]) <= place:
            variables[key].append(tf.Variable(tf.cast(tf.random.stateless_normal(shape, [0, 1]), dtype)))
        return variables[key][place]

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
