"""Wrong requests are refused by messages that name the input, and the next request is answered."""

import contextlib

import numpy as np
import pytest
import tensorflow as tf

from tests.saving.exports import GOOD, WRONG
from tests.saving.prediction_server import Model


@pytest.fixture(scope="module")
def session(plain):
    """Answers as TensorFlow Serving does, which does not look at the shapes of inputs as Python does."""
    with contextlib.closing(Model(plain[1])) as model:

        def run(signature, inputs):
            dtypes = model.dtypes(signature)
            return model.answer(signature, {k: np.asarray(v, dtypes[k]) for k, v in inputs.items()})

        yield run


@pytest.mark.parametrize(("signature", "name", "value", "words"), WRONG)
def test_wrong_requests_are_named_and_the_next_is_answered(plain_model, session, signature, name, value, words):
    right = session(signature, GOOD[signature])
    # Our own messages have the name of the input, and those of TensorFlow have it as the name of a node.
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"(?s)(`{name}`.*{words}|{words}.*node input_{name}}})"):
        session(signature, GOOD[signature] | {name: value})
    again = session(signature, GOOD[signature])
    for key in right:
        np.testing.assert_array_equal(right[key], again[key])
    specs = plain_model.signatures[signature].structured_input_signature[1]
    inputs = {k: tf.constant(v, specs[k].dtype) for k, v in (GOOD[signature] | {name: value}).items()}
    with pytest.raises((tf.errors.InvalidArgumentError, TypeError, ValueError), match=name):
        plain_model.signatures[signature](**inputs)
