"""Laws that hold for every bijector of the zoo."""

import inspect

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.zoo import every

tfb = tfp.bijectors
tfd = tfp.distributions


def evaluate(bijector, images, latents, keywords):
    """Both values and both log dets.

    The log dets have one number for each image, though TFP gives constant ones as scalars.
    """
    batch_shape = tf.shape(images)[:-3]
    return {
        "inverse": bijector.inverse(images, **keywords),
        "inverse_log_det": tf.broadcast_to(bijector.inverse_log_det_jacobian(images, 3, **keywords), batch_shape),
        "forward": bijector.forward(latents, **keywords),
        "forward_log_det": tf.broadcast_to(bijector.forward_log_det_jacobian(latents, 3, **keywords), batch_shape),
    }


def inputs(entry, batch_shape, dtype):
    return entry.images(batch_shape, dtype), entry.latents(batch_shape, dtype), entry.keywords(batch_shape, dtype)


def assert_close(ours, expected, rtol, atol):
    for name, value in expected.items():
        np.testing.assert_allclose(ours[name], value, rtol, atol, err_msg=name)


def distribution(entry, dtype):
    prior = tfd.Sample(tfd.Normal(tf.zeros([], dtype), 1.0), sample_shape=entry.latent_shape)
    return tfd.TransformedDistribution(prior, entry.bijector(dtype))


# A bijector remembers the input of each tensor that it returned. `tf.identity` makes another one, so that it computes.


@every
def test_forward_and_inverse_undo_each_other(entry):
    bijector = entry.bijector(tf.float64)
    images, latents, keywords = inputs(entry, (3,), tf.float64)
    values = evaluate(bijector, images, latents, keywords)
    back = evaluate(bijector, tf.identity(values["forward"]), tf.identity(values["inverse"]), keywords)
    np.testing.assert_allclose(back["inverse"], latents, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(back["forward"], images, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(back["inverse_log_det"], -values["forward_log_det"], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(back["forward_log_det"], -values["inverse_log_det"], rtol=1e-9, atol=1e-9)


@every
def test_log_det_is_that_of_the_jacobian(entry):
    bijector = entry.bijector(tf.float64)
    images, latents, keywords = inputs(entry, (), tf.float64)
    expected = evaluate(bijector, images, latents, keywords)
    for function, point in ((bijector.inverse, images), (bijector.forward, latents)):
        # There is one copy of the point for each output, so that one gradient gives all rows of the Jacobian.
        size = point.shape.num_elements()
        with tf.GradientTape() as tape:
            copies = tf.repeat(point[tf.newaxis], size, axis=0)
            tape.watch(copies)
            diagonal = tf.linalg.diag_part(tf.reshape(function(copies, **keywords), [size, size]))
        jacobian = tf.reshape(tape.gradient(diagonal, copies), [size, size])
        _, log_det = np.linalg.slogdet(jacobian)
        np.testing.assert_allclose(expected[f"{function.__name__}_log_det"], log_det, rtol=1e-9, atol=1e-9)


@every
def test_any_batch_shape_is_taken(entry):
    bijector = entry.bijector(tf.float64)
    grid = inputs(entry, (2, 3), tf.float64)
    together = evaluate(bijector, *grid)
    assert together["inverse"].shape == (2, 3, *entry.latent_shape)
    assert together["forward"].shape == (2, 3, *entry.image_shape)
    for where in (1, (0, 0), (0, 2), (1, 1)):  # These are a batch (3,) and single images.
        part = evaluate(bijector, *tf.nest.map_structure(lambda v, where=where: v[where], grid))
        assert_close({name: value[where] for name, value in together.items()}, part, rtol=1e-11, atol=1e-11)


@every
def test_shapes_may_be_unknown_until_run_time(entry):
    bijector = entry.bijector(tf.float64)
    arguments = inputs(entry, (3,), tf.float64)

    def unknown(v):
        return tf.TensorSpec([None] * (v.shape.rank - 1) + [v.shape[-1]], v.dtype)

    specs = tf.nest.map_structure(unknown, arguments)
    traced = tf.function(lambda *a: evaluate(bijector, *a)).get_concrete_function(*specs)
    assert traced.structured_outputs["inverse"].shape.as_list() == [None, None, None, entry.latent_shape[-1]]
    assert traced.structured_outputs["forward"].shape.as_list() == [None, None, None, entry.image_shape[-1]]
    assert_close(traced(*arguments), evaluate(bijector, *arguments), rtol=1e-11, atol=1e-11)
    empty = traced(*inputs(entry, (0,), tf.float64))
    shapes = {"inverse": (0, *entry.latent_shape), "forward": (0, *entry.image_shape)}
    assert {name: value.shape for name, value in empty.items()} == {
        **shapes,
        "inverse_log_det": (0,),
        "forward_log_det": (0,),
    }


@every
def test_eager_graph_and_xla_agree(entry):
    bijector = entry.bijector(tf.float32)
    arguments = inputs(entry, (2,), tf.float32)
    eager = evaluate(bijector, *arguments)
    # The sums have another order in float32, through up to fourteen networks, and logits are ill-conditioned near the
    # ends of the pixels' range.
    traced = tf.function(lambda *a: evaluate(bijector, *a)).get_concrete_function(*arguments)
    assert_close(traced(*arguments), eager, rtol=1e-4, atol=1e-4)
    compiled = tf.function(lambda *a: traced(*a), jit_compile=True)
    assert_close(compiled(*arguments), eager, rtol=1e-4, atol=1e-4)


@every
@pytest.mark.parametrize("method", ["inverse", "forward"])
def test_gradients_to_all_variables_are_finite(entry, method):
    bijector = entry.bijector(tf.float64)
    images, latents, keywords = inputs(entry, (2,), tf.float64)
    point = images if method == "inverse" else latents
    with tf.GradientTape() as tape:
        tape.watch(point)
        value = getattr(bijector, method)(point, **keywords)
        log_det = getattr(bijector, f"{method}_log_det_jacobian")(point, 3, **keywords)
        loss = tf.reduce_sum(value**2) + tf.reduce_sum(log_det)
    gradients = tape.gradient(loss, [point, *bijector.trainable_variables])
    assert all(g is not None and np.all(np.isfinite(g)) for g in gradients)
    assert np.any(gradients[0])
    assert not bijector.trainable_variables or any(np.any(g) for g in gradients[1:])


@every
def test_copy_shares_variables(entry):
    bijector = entry.bijector(tf.float64)
    twin = bijector.copy()
    assert type(twin) is type(bijector)
    assert [id(v) for v in twin.variables] == [id(v) for v in bijector.variables]
    arguments = inputs(entry, (1,), tf.float64)
    assert_close(evaluate(twin, *arguments), evaluate(bijector, *arguments), rtol=0, atol=0)
    assert bijector.copy(name="another").name == "another"


@every
def test_parameters_and_repr_tell_what_it_is(entry):
    bijector = entry.bijector(tf.float64)
    accepted = set(inspect.signature(type(bijector).__init__).parameters) - {"self"}
    assert set(bijector.parameters) == accepted
    assert bijector.parameters["validate_args"] is False
    for text in (repr(bijector), str(bijector)):
        assert bijector.name in text
        assert type(bijector).__name__.lstrip("_") in text


@every
def test_invert_exchanges_the_directions(entry):
    bijector = entry.bijector(tf.float64)
    images, latents, keywords = inputs(entry, (2,), tf.float64)
    ours = evaluate(tfb.Invert(bijector), latents, images, keywords)
    expected = evaluate(bijector, images, latents, keywords)
    names = {"forward": "inverse", "inverse": "forward"}
    renamed = {name.replace(name[:7], names[name[:7]]): value for name, value in ours.items()}
    assert_close(renamed, expected, rtol=0, atol=0)


@every
def test_it_works_in_a_distribution(entry):
    images = distribution(entry, tf.float64)
    keywords = {"bijector_kwargs": entry.keywords((2,), tf.float64)}
    sample, log_prob = images.experimental_sample_and_log_prob(2, seed=(1, 2), **keywords)
    assert sample.shape == (2, *entry.image_shape)
    assert log_prob.shape == (2,)
    np.testing.assert_array_equal(images.sample(2, seed=(1, 2), **keywords), sample)
    np.testing.assert_allclose(images.log_prob(tf.identity(sample), **keywords), log_prob, rtol=1e-9)
