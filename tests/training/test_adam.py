"""`Adam` takes the steps of the Adam of Keras, and reads and writes the same checkpoints."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tests.models import values
from tfp_realnvp import Adam

OPTIONS = {
    "plain": {},
    "clipped": {"global_clipnorm": 0.5},
    "schedule": {"learning_rate": tf_keras.optimizers.schedules.CosineDecay(0.1, 5)},
    "amsgrad": {"amsgrad": True},
}
START = [[1.0, -2.0, 3.0], [0.5]]


def trained(optimizer, steps=4):
    """Variables after several steps on gradients that change from step to step."""
    variables = [tf.Variable(v) for v in START]
    optimizer.build(variables)

    @tf.function
    def step(k):
        optimizer.apply_gradients([(tf.sin(3 * v + k), v) for v in variables])

    for k in range(steps):
        step(tf.constant(float(k)))
    return variables


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_steps_are_those_of_keras(options):
    options = {"learning_rate": 0.1, "epsilon": 1e-8, **options}
    ours, theirs = Adam(**options), tf_keras.optimizers.Adam(**options)
    for a, b in zip(values(trained(ours)), values(trained(theirs)), strict=True):
        np.testing.assert_allclose(a, b, rtol=3e-5)
    # Ours rounds 1 - beta_2 to float32 at another place than theirs does, which is 5e-5 of 0.001.
    for a, b in zip(values(ours.variables), values(theirs.variables), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4)


@pytest.mark.parametrize("order", [(Adam, tf_keras.optimizers.Adam), (tf_keras.optimizers.Adam, Adam)])
def test_checkpoints_of_either_are_read_by_the_other(order, tmp_path):
    writer, reader = (kind(0.1) for kind in order)
    trained(writer)
    path = tf.train.Checkpoint(optimizer=writer).write(str(tmp_path / "c"))
    reader.build([tf.Variable(v) for v in START])
    tf.train.Checkpoint(optimizer=reader).read(path).assert_existing_objects_matched()
    for a, b in zip(values(writer.variables), values(reader.variables), strict=True):
        np.testing.assert_array_equal(a, b)


def test_sparse_gradients_are_applied():
    variable = tf.Variable([[1.0], [2.0]])
    Adam(0.1).apply_gradients([(tf.IndexedSlices(tf.ones([1, 1]), tf.constant([1])), variable)])
    np.testing.assert_allclose(variable.numpy(), [[1.0], [1.9]], rtol=1e-5)


def test_it_is_rebuilt_from_its_config():
    optimizer = Adam(0.1, beta_1=0.8, epsilon=1e-3, global_clipnorm=7.0)
    twin = tf_keras.optimizers.deserialize(tf_keras.optimizers.serialize(optimizer))
    assert isinstance(twin, Adam)
    assert twin.get_config() == optimizer.get_config()
