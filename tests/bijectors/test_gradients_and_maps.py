"""Gradients of each method by itself, `tf.vectorized_map`, and shapes of which a graph knows too little."""

import re

import numpy as np
import pytest
import tensorflow as tf

from tests.zoo import ZOO, every, every_class
from tfp_realnvp import PixelLogit

every_direction = pytest.mark.parametrize("direction", ["forward", "inverse"])
# Their log dets are the same for each image: those of the first three do not depend on anything, and that of a batch
# norm depends on its running statistics, which no gradient moves.
CONSTANT_LOG_DETS = {ZOO[name] for name in ("squeeze", "unsqueeze_ordered", "checkerboard_additive", "batch_norm")}
PER_CHANNEL_LOG_DETS = {ZOO[name] for name in ("act_norm", "channel_mixing")}


def kind_of_log_det(entry):
    if entry in CONSTANT_LOG_DETS:
        return "constant"
    return "per channel" if entry in PER_CHANNEL_LOG_DETS else "full"


def inputs(entry, direction, batch_shape):
    point = (entry.latents if direction == "forward" else entry.images)(batch_shape, tf.float64)
    return point, entry.keywords(batch_shape, tf.float64)


def values(bijector, direction, point, keywords):
    value = getattr(bijector, direction)(point, **keywords)
    return value, getattr(bijector, f"{direction}_log_det_jacobian")(point, 3, **keywords)


@every_class
@every_direction
def test_each_method_has_a_gradient_to_all_that_it_depends_on(entry, direction):
    bijector = entry.bijector(tf.float64)
    point, keywords = inputs(entry, direction, (2,))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([point, *keywords.values()])
        value, log_det = values(bijector, direction, point, keywords)
    # A variable that is used and not tracked would be neither trained nor saved.
    assert {id(v) for v in tape.watched_variables()} == {id(v) for v in bijector.trainable_variables}
    sources = [point, *keywords.values(), *bijector.trainable_variables]
    for gradient in tape.gradient(value, sources):
        assert np.all(np.isfinite(gradient))
    gradients = tape.gradient(log_det, sources)
    # The log det of a map that is the same for all pixels depends on one of its variables, and not on the image.
    depends = [any("log" in v.name for v in [source] if isinstance(v, tf.Variable)) for source in sources]
    expected = {"constant": [False] * len(sources), "per channel": depends, "full": [True] * len(sources)}
    assert [gradient is not None for gradient in gradients] == expected[kind_of_log_det(entry)]
    assert all(gradient is None or np.all(np.isfinite(gradient)) for gradient in gradients)


@every_class
@every_direction
def test_a_vectorized_map_is_a_batch(entry, direction):
    bijector = entry.bijector(tf.float64)
    point, keywords = inputs(entry, direction, (3,))
    each = tf.vectorized_map(
        lambda arguments: values(bijector, direction, *arguments), (point, keywords), fallback_to_while_loop=False
    )
    value, log_det = values(bijector, direction, point, keywords)
    np.testing.assert_allclose(each[0], value, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(each[1], tf.broadcast_to(log_det, [3]), rtol=1e-11, atol=1e-11)


@every
@every_direction
@pytest.mark.parametrize("shape", [None, [None] * 4, [None] * 2])
def test_a_shape_without_rank_or_channels_is_refused(entry, direction, shape):
    bijector, keywords = entry.bijector(tf.float64), entry.keywords((1,), tf.float64)
    traced = tf.function(lambda point: getattr(bijector, direction)(point, **keywords))
    spec = tf.TensorSpec(shape, tf.float64)
    if isinstance(bijector, PixelLogit):  # It works on each pixel by itself.
        assert traced.get_concrete_function(spec).structured_outputs.shape.is_compatible_with(shape)
        return
    rule = rf"\w+: input of shape {re.escape(str(tf.TensorShape(shape)))}: must be .* with known rank and channels"
    with pytest.raises(ValueError, match=rule):
        traced.get_concrete_function(spec)
