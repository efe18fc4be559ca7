"""Event shapes and log dets of events of more axes than [H, W, C], as TFP's own bijectors give them."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.zoo import every, every_class
from tfp_realnvp import Checkerboard, Composition, FlowBatchNorm, Squeeze

tfb = tfp.bijectors
tfd = tfp.distributions


def directions(entry):
    """Pairs of the names of the methods about a direction, and the event shapes in and out."""
    return (("forward", entry.latent_shape, entry.image_shape), ("inverse", entry.image_shape, entry.latent_shape))


def on_normal(bijector, event_shape, dtype=tf.float64):
    return tfd.TransformedDistribution(tfd.Sample(tfd.Normal(tf.zeros([], dtype), 1.0), event_shape), bijector)


@every
@pytest.mark.parametrize("leading", [(), (7,), (0, 2)])
def test_event_shapes_are_those_of_the_values(entry, leading):
    bijector = entry.bijector(tf.float64)
    for direction, before, after in directions(entry):
        before, after = [*leading, *before], [*leading, *after]
        assert getattr(bijector, f"{direction}_event_shape")(before) == after
        tensor = getattr(bijector, f"{direction}_event_shape_tensor")(before)
        assert tensor.dtype == tf.int32
        assert tensor.numpy().tolist() == after


@every
def test_what_is_unknown_of_an_event_shape_stays_unknown(entry):
    bijector = entry.bijector(tf.float64)
    for direction, before, after in directions(entry):
        event_shape = getattr(bijector, f"{direction}_event_shape")
        assert event_shape(None).rank is None
        assert event_shape([None] * 3).as_list() == [None] * 3
        assert event_shape([None] * 4).as_list() == [None] * 4
        assert event_shape([7, None, None, before[-1]]).as_list() == [7, None, None, after[-1]]
        assert event_shape([before[0], None, before[-1]]).as_list() == [after[0], None, after[-1]]


@every_class
def test_event_shapes_may_be_unknown_until_run_time(entry):
    bijector = entry.bijector(tf.float64)
    for direction, before, after in directions(entry):
        method = getattr(bijector, f"{direction}_event_shape_tensor")
        traced = tf.function(method, input_signature=[tf.TensorSpec([None], tf.int32)])
        assert traced([5, *before]).numpy().tolist() == [5, *after]
        assert traced(before).numpy().tolist() == [*after]


@every_class
def test_events_may_have_more_axes(entry):
    # Frames of a film, e.g.: one log det is the sum over all images of an event.
    films = on_normal(entry.bijector(tf.float64), [5, *entry.latent_shape])
    assert films.event_shape == films.event_shape_tensor().numpy().tolist() == [5, *entry.image_shape]
    keywords = {"bijector_kwargs": entry.keywords((2, 5), tf.float64)}
    sample, log_prob = films.experimental_sample_and_log_prob(2, seed=(1, 2), **keywords)
    assert sample.shape == (2, 5, *entry.image_shape)
    assert log_prob.shape == (2,)
    images = on_normal(entry.bijector(tf.float64), entry.latent_shape)
    each = images.log_prob(tf.identity(sample), **keywords)
    assert each.shape == (2, 5)
    np.testing.assert_allclose(tf.reduce_sum(each, 1), log_prob, rtol=1e-9)
    np.testing.assert_allclose(films.log_prob(sample, **keywords), log_prob, rtol=1e-9)


@pytest.mark.parametrize("composed", [lambda parts: Composition(parts, name="parts"), tfb.Chain])
def test_a_composition_changes_the_shape_as_its_parts_do(composed):
    bijector = composed([Squeeze(), composed([Squeeze(ordered=True)]), FlowBatchNorm(2, Checkerboard())])
    for leading in ((), (3,)):
        event, result = [*leading, 4, 8, 2], [*leading, 1, 2, 32]
        assert bijector.forward_event_shape(event) == bijector(tf.zeros(event)).shape == result
        assert bijector.inverse_event_shape(result) == bijector.inverse(tf.zeros(result)).shape == event
        assert bijector.forward_event_shape_tensor(event).numpy().tolist() == result
        assert bijector.inverse_event_shape_tensor(result).numpy().tolist() == event
        assert on_normal(bijector, event, tf.float32).event_shape == result
    assert bijector.forward_event_shape([None, None, 2]).as_list() == [None, None, 32]
    assert bijector.forward_event_shape(None).rank is None
