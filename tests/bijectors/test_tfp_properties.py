"""What TFP promises of every bijector, and of a distribution of one: equality, caching, indexing, names, empty batches.

The promises are those that TFP's own tests check over its bijectors. Their values, gradients and graphs are in
`test_laws` and `test_gradients_and_maps`, their event shapes in `test_event_shapes`.
"""

import gc
import weakref

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.zoo import ZOO, every, every_class
from tfp_realnvp import AffineCoupling, Checkerboard, Composition, PixelLogit, Squeeze
from tfp_realnvp.bijectors.image_bijector import ImageBijector

tfb = tfp.bijectors
tfd = tfp.distributions

every_direction = pytest.mark.parametrize("direction", ["forward", "inverse"])


def on_normal(entry, dtype=tf.float32):
    prior = tfd.Sample(tfd.Normal(tf.zeros([], dtype), 1.0), entry.latent_shape)
    return tfd.TransformedDistribution(prior, entry.bijector(dtype))


def point(entry, direction, batch_shape, dtype=tf.float32):
    return (entry.latents if direction == "forward" else entry.images)(batch_shape, dtype)


@every_class
def test_an_empty_batch_answers_empty(entry):
    images = on_normal(entry)
    keywords = {"bijector_kwargs": entry.keywords((0,), tf.float32)}
    sample, log_prob = images.experimental_sample_and_log_prob(0, seed=(1, 2), **keywords)
    assert sample.shape == images.sample(0, **keywords).shape == (0, *entry.image_shape)
    assert log_prob.shape == (0,)
    assert sample.dtype == log_prob.dtype == tf.float32
    keywords = {"bijector_kwargs": entry.keywords((2, 0), tf.float32)}
    assert images.log_prob(entry.images((2, 0), tf.float32), **keywords).shape == (2, 0)


@every_class
def test_sample_shapes_go_before_the_event(entry):
    images = on_normal(entry)
    for sample_shape in ((), (1,), (2, 1)):
        keywords = {"bijector_kwargs": entry.keywords(sample_shape, tf.float32)}
        sample = images.sample(sample_shape, **keywords)
        assert sample.shape == (*sample_shape, *entry.image_shape)
        assert images.log_prob(sample, **keywords).shape == sample_shape


@every
def test_it_is_equal_to_itself(entry):
    bijector = entry.bijector(tf.float32)
    assert bijector == bijector
    assert {bijector: "found"}[bijector] == "found"
    assert tfb.Invert(bijector) == tfb.Invert(bijector)
    assert hash(tfb.Invert(bijector)) == hash(tfb.Invert(bijector))
    assert bijector not in (None, bijector.name, tfb.Identity())


def test_bijectors_without_variables_are_equal_if_their_arguments_are():
    assert Squeeze() == Squeeze()
    assert len({Squeeze(), Squeeze(), Squeeze(ordered=True), PixelLogit(), PixelLogit(17), PixelLogit(17)}) == 4


def test_bijectors_of_equal_parts_are_not_equal():
    # An `ImageBijector` is equal to itself alone, with variables or without.
    part = Squeeze()
    one, other = (Composition([part], name="parts") for _ in range(2))
    assert one != other
    assert len({one, other}) == 2
    assert one.copy() != one


@every
def test_parameters_are_described(entry):
    bijector = entry.bijector(tf.float32)
    assert set(bijector.parameter_properties(tf.float32)) <= set(bijector.parameters)
    assert bijector.experimental_batch_shape() == []
    assert bijector.experimental_batch_shape_tensor().shape == [0]
    assert bijector.forward_dtype(tf.float32) == bijector.inverse_dtype(tf.float32) == tf.float32
    assert bijector.forward_min_event_ndims == bijector.inverse_min_event_ndims


@every_class
@every_direction
def test_a_value_remembers_where_it_came_from(entry, direction):
    bijector, back = entry.bijector(tf.float32), {"forward": "inverse", "inverse": "forward"}[direction]
    keywords = entry.keywords((1,), tf.float32)
    before = point(entry, direction, (1,))
    after = getattr(bijector, direction)(before, **keywords)
    assert getattr(bijector, direction)(before, **keywords) is after
    assert getattr(bijector, back)(after, **keywords) is before
    assert getattr(tfb.Invert(bijector), direction)(after, **keywords) is before
    # Other tensors, other keywords and other bijectors are not mixed up with these.
    assert getattr(bijector, direction)(tf.identity(before), **keywords) is not after
    if entry.conditioning_size is not None:
        other = entry.keywords((1,), tf.float32, seed=5)
        assert np.any(getattr(bijector, direction)(before, **other) != after)
    if bijector.variables:
        other = entry.make(tf.float32)
        assert np.any(getattr(other, direction)(before, **keywords) != after)
        assert getattr(other, back)(after, **keywords) is not before


@every_class
@every_direction
def test_nothing_is_remembered_for_longer_than_the_value(entry, direction):
    bijector, keywords = entry.bijector(tf.float32), entry.keywords((1,), tf.float32)
    before = point(entry, direction, (1,))
    after = getattr(bijector, direction)(before, **keywords)
    getattr(bijector, f"{direction}_log_det_jacobian")(before, 3, **keywords)
    alive = [weakref.ref(before), weakref.ref(after)]
    del before, after
    gc.collect()
    assert [reference() for reference in alive] == [None, None]


@every_class
def test_an_indexed_bijector_keeps_its_variables(entry):
    bijector, images = entry.bijector(tf.float32), on_normal(entry)
    point, keywords = entry.images((2,), tf.float32), entry.keywords((2,), tf.float32)
    for indexed in (bijector[...], bijector[tf.newaxis], bijector[tf.newaxis, ..., tf.newaxis]):
        assert [id(v) for v in indexed.variables] == [id(v) for v in bijector.variables]
        np.testing.assert_array_equal(indexed.inverse(point, **keywords), bijector.inverse(point, **keywords))
        assert indexed.forward_event_shape(entry.latent_shape) == entry.image_shape
        assert indexed.inverse_event_shape_tensor(entry.image_shape).numpy().tolist() == [*entry.latent_shape]
    # One may index a distribution, too, and a chain in it.
    expected = images.log_prob(point, bijector_kwargs=keywords)
    for indexed in (images[...], images[tf.newaxis]):
        assert {id(v) for v in indexed.variables} == {id(v) for v in images.variables}
        np.testing.assert_allclose(indexed.log_prob(point, bijector_kwargs=keywords), expected, rtol=1e-6)
    np.testing.assert_array_equal(
        indexed.bijector.forward_event_shape_tensor(entry.latent_shape), images.event_shape_tensor()
    )
    assert indexed.bijector.inverse_event_shape(entry.image_shape) == entry.latent_shape


@pytest.mark.parametrize("name", ["squeeze", "channel_offset", "batch_norm", "composition", "flow_additive"])
def test_operations_are_under_the_name_of_the_bijector(name):
    entry = ZOO[name]
    bijector = entry.bijector(tf.float32)
    traced = tf.function(bijector.forward).get_concrete_function(entry.latents((1,), tf.float32))
    operations = [op.name for op in traced.graph.get_operations() if op.type not in ("Placeholder", "Const", "NoOp")]
    outside = [name for name in operations if not name.startswith(f"{bijector.name}/forward/")]
    assert outside == ["Identity"]  # It is the function's result.


def test_bijectors_of_one_name_do_not_clash():
    couplings = [AffineCoupling(Checkerboard(i), lambda h: tf.concat([h, h], -1), offset=True) for i in range(2)]
    assert {coupling.name for coupling in couplings} == {"affine_coupling"}
    both = tfb.Chain(couplings)
    assert len({id(v) for v in both.trainable_variables}) == 4
    x = ZOO["checkerboard_scale_first"].latents((2,), tf.float32)
    np.testing.assert_array_equal(tf.function(both.forward)(x), couplings[0].forward(couplings[1].forward(x)))


@every_class
def test_a_density_is_corrected_by_the_log_det(entry):
    bijector, keywords = entry.bijector(tf.float32), entry.keywords((3,), tf.float32)
    x = entry.latents((3,), tf.float32)
    space = tfp.experimental.tangent_spaces.FullSpace()
    correction, _ = bijector.experimental_compute_density_correction(
        x, space, backward_compat=True, event_ndims=3, **keywords
    )
    np.testing.assert_array_equal(correction, bijector.forward_log_det_jacobian(x, 3, **keywords))


@every_class
def test_a_mean_goes_through_what_is_linear_alone(entry):
    # TFP maps the mean of the prior through a bijector that calls its Jacobian constant. That of an additive coupling
    # is not, though its log det is.
    images = on_normal(entry)
    linear = isinstance(getattr(images.bijector, "bijector", images.bijector), Squeeze)
    assert images.bijector.is_constant_jacobian is linear
    if linear:
        np.testing.assert_array_equal(images.mean(), np.zeros(entry.image_shape))
    else:
        with pytest.raises(NotImplementedError):
            images.mean()


@every_class
def test_a_copy_of_other_arguments_is_built_by_them(entry):
    bijector = entry.bijector(tf.float32)
    other = bijector.copy(validate_args=True)
    assert other.validate_args
    assert type(other) is type(bijector)
    assert {k: v for k, v in other.parameters.items() if k != "validate_args"} == {
        k: v for k, v in bijector.parameters.items() if k != "validate_args"
    }
    assert [v.shape for v in other.variables] == [v.shape for v in bijector.variables]
    if isinstance(bijector, ImageBijector):
        assert other != bijector
