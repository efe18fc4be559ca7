"""`GlowImage`: where it starts, what its latents are, and what its keywords and options reach."""

import numpy as np
import pytest
import tensorflow as tf

from tests.models import on_prior, pixels, policy, values
from tfp_realnvp import (
    ActNorm,
    AffineCoupling,
    GlowImage,
    PixelLogit,
    PlainNetwork,
    initialize_from_data,
    join_latents,
    split_latents,
)

SHAPE = (8, 8, 3)


def glow(**options):
    return GlowImage(3, **({"num_scales": 2, "depth": 2, "width": 4} | options))


def moved(**options):
    """A flow that has started from data, and whose variables were then moved away from their start."""
    tf.random.set_seed(1)
    flow = glow(**options)
    x = tf.cast(pixels(16, *SHAPE), flow.dtype)
    size = options.get("conditioning_size")
    conditioning = None if size is None else tf.zeros([16, size])
    initialize_from_data(on_prior(flow, flow.dtype, SHAPE), x, conditioning=conditioning)
    for i, v in enumerate(flow.trainable_variables):
        v.assign_add(0.1 * tf.random.stateless_normal(v.shape, (i, 0), dtype=v.dtype))
    return flow


def parts(flow, kind):
    return [m for m in flow.submodules if isinstance(m, kind)]


def test_it_starts_as_rotations_of_what_is_normalised():
    flow = glow(num_scales=1, depth=1)
    x = pixels(5, *SHAPE)
    logits = PixelLogit().inverse(x)
    np.testing.assert_allclose(tf.norm(flow.inverse(x)), tf.norm(logits), rtol=1e-5)
    expected = PixelLogit().inverse_log_det_jacobian(x, 3)
    np.testing.assert_allclose(flow.inverse_log_det_jacobian(x, 3), expected, rtol=1e-5)
    distribution = on_prior(flow, shape=SHAPE)
    initialize_from_data(distribution, x)
    latents = flow.inverse(tf.identity(x)).numpy()
    tiles = latents.reshape(5, 4, 2, 4, 2, 3).transpose(0, 1, 3, 2, 4, 5).reshape(-1, 12)
    np.testing.assert_allclose((tiles**2).sum(1).mean(), 12, rtol=1e-3)  # Twelve channels of variance 1, rotated.


def test_each_level_has_half_the_steps_of_the_one_before():
    flow = glow(num_scales=4, depth=5)
    names = [norm.trainable_variables[0].name for norm in parts(flow, ActNorm)]
    assert [sum(f"/level_{i}/" in name for name in names) for i in range(4)] == [5, 2, 1, 1]


def test_latents_split_by_scale_and_the_top_ones_do_not_depend_on_the_others():
    flow = moved(num_scales=3)
    assert flow.size_divisor == 8
    latents = flow.inverse(pixels(2, 16, 16, 3))
    assert [part.shape[1:] for part in split_latents(latents, flow.num_scales)] == [(8, 8, 6), (4, 4, 12), (4, 4, 12)]
    *dropped, top = split_latents(latents, flow.num_scales)
    others = [tf.random.stateless_normal(part.shape, (3, i)) for i, part in enumerate(dropped)]
    changed = flow.inverse(flow.forward(join_latents([*others, top])))
    np.testing.assert_allclose(split_latents(changed, flow.num_scales)[-1], top, atol=1e-2)
    assert np.abs(flow.forward(join_latents([*others, top])) - flow.forward(latents)).max() > 10


def test_what_is_factored_out_has_a_prior_from_what_is_kept():
    flow = moved()
    couplings = [m for m in parts(flow, AffineCoupling) if m.name == "split_prior"]
    assert len(couplings) == 1
    coupling = couplings[0]
    x = tf.random.stateless_normal([2, 4, 4, 12], (0, 1))
    z = coupling.inverse(x)
    np.testing.assert_array_equal(z[..., :6], x[..., :6])
    shift, log_scale = np.split(coupling.conditioner.conv(x[..., :6]).numpy(), 2, -1)
    np.testing.assert_allclose(z[..., 6:], x[..., 6:] * np.exp(np.tanh(log_scale)) + shift, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [(8, 8), (12, 20)])
def test_any_size_is_undone(size):
    flow = moved()
    x = pixels(2, *size, 3)
    np.testing.assert_allclose(flow.forward(flow.inverse(x)), x, atol=0.05)


def test_conditioning_moves_every_coupling_and_the_split_prior():
    flow = moved(conditioning_size=2)
    biases = [v for v in flow.trainable_variables if "conditioning_weights" in v.name]
    assert len(biases) == len(parts(flow, AffineCoupling)) == 2 + 1 + 1  # Steps of two levels, a prior.
    x = pixels(2, *SHAPE)
    with tf.GradientTape() as tape:
        log_prob = on_prior(flow, shape=SHAPE).log_prob(x, bijector_kwargs={"conditioning": tf.eye(2)})
    assert all(np.any(g) for g in tape.gradient(log_prob, biases))
    assert np.abs(flow.inverse(x, conditioning=tf.eye(2)) - flow.inverse(x, conditioning=1 - tf.eye(2))).max() > 1e-3


def test_recomputed_gradients_are_the_same():
    gradients = []
    for recompute in (False, True):
        flow = moved(dtype=tf.float64, recompute_gradients=recompute)
        with tf.GradientTape() as tape:
            log_prob = on_prior(flow, tf.float64, SHAPE).log_prob(tf.cast(pixels(2, *SHAPE), tf.float64))
        gradients.append(tape.gradient(log_prob, flow.trainable_variables))
    for kept, recomputed in zip(*gradients, strict=True):
        np.testing.assert_allclose(recomputed, kept, rtol=1e-9, atol=1e-9)


def test_the_policy_is_that_of_the_networks_and_of_nothing_else():
    with policy("mixed_bfloat16"):
        flow = glow()
    assert {part.parameters["compute_dtype"] for part in parts(flow, PlainNetwork)} == {tf.bfloat16}
    assert {v.dtype for v in flow.trainable_variables} == {tf.float32}
    x = pixels(2, *SHAPE)
    assert flow.inverse(x).dtype == flow.inverse_log_det_jacobian(x, 3).dtype == tf.float32
    np.testing.assert_allclose(flow.forward(flow.inverse(x)), x, atol=0.05)


def test_training_changes_nothing():
    flow = moved()
    x, before = pixels(2, *SHAPE), values(flow.variables)
    np.testing.assert_array_equal(flow.inverse(x, training=True), flow.inverse(tf.identity(x)))
    for a, b in zip(before, values(flow.variables), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 0}, r"`depth`=0: must be a Python int of at least 1, the steps of the first level"),
        ({"num_scales": 0}, r"`num_scales`=0: must be a Python int of at least 1"),
        ({"width": 0}, r"`width`=0: must be a Python int of at least 1, the channels of hidden layers"),
        ({"log_scale_bound": 0}, r"`log_scale_bound`=0: must be above 0"),
        ({"compute_dtype": tf.float64}, r"`compute_dtype`=float64: must be no wider than `dtype`=float32"),
        ({"conditioning_size": 0}, r"`conditioning_size`=0: must be a Python int of at least 1"),
        ({"squash": "logit"}, r"`squash`='logit'"),
    ],
)
def test_mistakes(options, message):
    with pytest.raises(ValueError, match=message):
        glow(**options)


def test_sizes_that_can_not_be_squeezed_are_refused():
    with pytest.raises(
        ValueError, match=r"glow_image: input of shape \(1, 8, 6, 3\).*divisible by 2 \*\* num_scales = 4"
    ):
        on_prior(glow(), shape=(8, 6, 3)).log_prob(pixels(1, 8, 6, 3))


def test_every_norm_of_a_new_flow_waits_for_data():
    assert not any(norm.initialized for norm in parts(glow(), ActNorm))
    with pytest.warns(UserWarning, match="never initialized"):
        on_prior(glow(), shape=SHAPE).sample(seed=(0, 1))
