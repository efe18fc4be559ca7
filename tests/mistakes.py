"""A user's mistake is refused at once, by a message with the argument, its value, the rule and a remedy.

Each `test_mistakes.py` has a table of mistakes, and who finds another one adds a line to it. A line is a name, and
under it a function, the type of the error that it must raise, and patterns that the message must match, in the order of
the message: what is wrong first, what to do last. The function gets an empty directory.
"""

import re

import pytest
import tensorflow as tf

from tests.models import images
from tfp_realnvp import RealNVPImage

X = tf.fill([2, 4, 4, 1], 100.0)
PIXELS = images()


def real_nvp(**options):
    return RealNVPImage(**{"channels": 1, "num_scales": 1, "width": 2, "residual_blocks": 0} | options)


def batches(data, size=4):
    return tf.data.Dataset.from_tensor_slices(data).batch(size)


def assert_refused(name, mistake, directory):
    """Makes the mistake of a line of the table, and looks at the error."""
    make, error, *says = mistake
    with pytest.raises(error) as caught:
        make(directory)
    assert caught.type is error
    # A pattern may match across lines: TensorFlow's own checks at run time add several lines to a message of ours.
    message = re.sub(r"\s+", " ", str(caught.value))
    for pattern in says:
        assert re.search(pattern, message), f"{pattern!r} is not in: {message}"
    assert len(message) > 40
    # These errors are raised while TensorFlow runs or traces a function, and it adds its trace to their messages.
    if error is not tf.errors.InvalidArgumentError and name != "unknown rank":
        assert len(message) < 600, message
        assert not re.search(r"function_node|Traceback|in user code|TensorShape\(", message)
