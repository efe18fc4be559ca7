"""Latents are split into scales as the flow itself lays them out, and paths lead from latents to latents."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from tfp_realnvp import (
    Composition,
    RealNVPImage,
    interpolate_on_sphere,
    join_latents,
    manifold,
    resample_latents,
    split_latents,
)

both_types = pytest.mark.parametrize("dtype", [tf.float32, tf.float64], ids=lambda dtype: dtype.name)


def normal(*shape, seed=0, dtype=tf.float32):
    return tf.constant(np.random.RandomState(seed).randn(*shape), dtype)


def lengths(z):
    return np.sqrt(np.sum(np.square(z), (-3, -2, -1)))


# Latents by scale


@pytest.fixture(scope="module")
def flow():
    flow = RealNVPImage(2, num_scales=4, width=2, residual_blocks=0, batch_norm=False)
    for i, v in enumerate(flow.variables):
        v.assign_add(0.2 * tf.random.stateless_normal(v.shape, [i, 0]))
    return flow


def test_parts_are_what_each_level_of_the_flow_receives(flow, monkeypatch):
    received = []
    original = Composition._forward_and_log_det

    def spy(self, x, **kwargs):
        received.append(x.numpy())
        return original(self, x, **kwargs)

    monkeypatch.setattr(Composition, "_forward_and_log_det", spy)
    latents = normal(3, 8, 16, 2)
    flow.forward(latents)
    parts = split_latents(latents, flow.num_scales)
    assert len(received) == 1 + len(parts) == 5  # The flow comes first, then its levels from the outermost.
    np.testing.assert_array_equal(received[-1], parts[-1])
    for i, x in enumerate(received[1:]):
        np.testing.assert_array_equal(x, join_latents(parts[i:]))


def test_a_level_decides_on_the_later_parts_alone(flow):
    pixels = tf.constant(np.random.RandomState(0).uniform(0, 256, [3, 8, 16, 2]), tf.float32)
    before = split_latents(flow.inverse(pixels), 4)
    for level in range(4):
        moved = [v for v in flow.variables if f"/level_{level}/" in v.name]
        values = [v.numpy() for v in moved]
        for v in moved:
            v.assign(v + 0.25)
        after = split_latents(flow.inverse(tf.identity(pixels)), 4)
        for v, value in zip(moved, values, strict=True):
            v.assign(value)
        same = [bool(np.all(a == b)) for a, b in zip(after, before, strict=True)]
        assert same == [i < level for i in range(4)]


def test_split_is_what_a_hand_computes():
    finest, middle, top = split_latents(np.arange(16.0).reshape(4, 4, 1), 3)
    # The finest part holds the top right and the bottom left of each tile. The middle part holds the same of the rest,
    # which is an image of two channels.
    np.testing.assert_array_equal(finest, [[[1, 4], [3, 6]], [[9, 12], [11, 14]]])
    np.testing.assert_array_equal(middle, [[[2, 7, 8, 13]]])
    np.testing.assert_array_equal(top, [[[0, 5, 10, 15]]])


@both_types
@pytest.mark.parametrize("num_scales", [1, 2, 3, 5])
@pytest.mark.parametrize("batch", [(), (0,), (2,), (2, 3)])
def test_join_inverts_split(batch, num_scales, dtype):
    latents = normal(*batch, 16, 32, 3, dtype=dtype)
    parts = split_latents(latents, num_scales)
    for i, part in enumerate(parts, start=1):
        shrunk = 2 ** min(i, num_scales - 1)
        assert part.shape == (*batch, 16 // shrunk, 32 // shrunk, 3 * shrunk)
        assert part.dtype == dtype
    np.testing.assert_array_equal(join_latents(parts), latents)
    for part, again in zip(parts, split_latents(join_latents(list(parts)), num_scales), strict=True):
        np.testing.assert_array_equal(part, again)


# Conceptual compression


@both_types
def test_top_level_is_kept_and_the_rest_drawn(dtype):
    latents = 5 + normal(16, 32, 32, 2, dtype=dtype)
    for dropped, kept in enumerate([1, 0.5, 0.25, np.float32(0.125), 0.0625]):
        result = resample_latents(latents, 5, kept, seed=(0, 1))
        assert result.dtype == dtype
        unchanged = np.mean(result == latents)
        np.testing.assert_allclose(unchanged, kept, rtol=0, atol=1e-4)  # Noise may equal a latent by chance.
        parts = split_latents(result, 5)
        for part, original in list(zip(parts, split_latents(latents, 5), strict=True))[dropped:]:
            np.testing.assert_array_equal(part, original)
        for part in parts[:dropped]:
            n = np.size(part)
            assert abs(np.mean(part)) < 4 / n**0.5
            assert abs(np.var(part) - 1) < 4 * (2 / n) ** 0.5
            assert abs(np.mean(np.power(part, 4)) - 3) < 4 * (96 / n) ** 0.5


def test_noise_does_not_depend_on_what_is_kept():
    first, second = normal(3, 8, 8, 1), normal(3, 8, 8, 1, seed=1)
    fractions = [0.5, 0.25, 0.125]
    results = [split_latents(resample_latents(first, 4, kept, seed=(3, 4)), 4) for kept in fractions]
    for a in range(3):
        for b in range(a, 3):
            for i in range(a + 1):
                np.testing.assert_array_equal(results[a][i], results[b][i])
    all_drawn = resample_latents(second, 4, 0.125, seed=(3, 4))
    # The noise does not depend on the latents either.
    np.testing.assert_array_equal(split_latents(all_drawn, 4)[0], results[2][0])
    twice = resample_latents(first, 4, 0.125, seed=(3, 4), temperature=2)
    np.testing.assert_allclose(split_latents(twice, 4)[1], 2 * results[2][1], rtol=1e-6)
    other = resample_latents(first, 4, 0.125, seed=(3, 5))
    assert np.all(split_latents(other, 4)[0] != results[2][0])


def test_temperature_0_fills_with_zeros():
    latents = normal(2, 8, 8, 1)
    *finer, top = split_latents(resample_latents(latents, 3, 0.25, seed=(0, 1), temperature=0), 3)
    np.testing.assert_array_equal(top, split_latents(latents, 3)[-1])
    for part in finer:
        assert not np.any(part)
        assert not np.any(np.signbit(part))


# The manifold


def test_the_manifold_is_equation_19():
    z1, z2, z3, z4 = latents = normal(4, 2, 3, 1, dtype=tf.float64).numpy()
    angles = np.random.RandomState(1).uniform(-4, 4, [3, 5, 2])
    found = manifold(latents, angles)
    assert found.shape == (3, 5, 2, 3, 1)
    for i, j in np.ndindex(3, 5):
        p, q = angles[i, j]
        z = np.cos(p) * (np.cos(q) * z1 + np.sin(q) * z2) + np.sin(p) * (np.cos(q) * z3 + np.sin(q) * z4)
        np.testing.assert_allclose(found[i, j], z, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("k", [2, 3, 4])
def test_the_manifold_nests_in_itself(k):
    latents = normal(2**k, 2, 2, 1, dtype=tf.float64)
    angles = np.random.RandomState(1).uniform(-4, 4, [7, k])
    halves = [manifold(half, angles[:, 1:]) for half in tf.split(latents, 2)]
    outer = np.cos(angles[:, :1, None, None]) * halves[0] + np.sin(angles[:, :1, None, None]) * halves[1]
    np.testing.assert_allclose(manifold(latents, angles), outer, rtol=1e-12, atol=1e-12)


@both_types
@pytest.mark.parametrize("k", [1, 2, 3])
def test_examples_lie_at_right_angles(k, dtype):
    latents = normal(2**k, 4, 4, 2, dtype=dtype)
    np.testing.assert_array_equal(manifold(latents, [0] * k), latents[0])
    for j, digits in enumerate(np.ndindex(*[2] * k)):
        found = manifold(latents, np.array(digits) * np.pi / 2)
        np.testing.assert_allclose(found, latents[j], rtol=0, atol=20 * np.finfo(dtype.as_numpy_dtype).eps)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_normal_stays_normal(k):
    angles = np.random.RandomState(1).uniform(-4, 4, [20, k])
    unit = np.eye(2**k)[:, None, None]
    # The vectors of weights have length 1.
    np.testing.assert_allclose(lengths(manifold(unit, angles)), 1, rtol=1e-12)
    z = manifold(normal(2**k, 50, 50, 4), angles).numpy()
    np.testing.assert_allclose(z.mean((1, 2, 3)), 0, atol=4e-2)
    np.testing.assert_allclose(z.var((1, 2, 3)), 1, atol=6e-2)


def test_angles_broadcast_against_the_batch():
    latents, angles = normal(4, 3, 2, 2, 1), normal(5, 1, 2, seed=1)
    found = manifold(latents, angles)
    assert found.shape == (5, 3, 2, 2, 1)
    for n in range(3):
        np.testing.assert_allclose(found[:, n], manifold(latents[:, n], angles[:, 0]), rtol=1e-6, atol=1e-6)


# The sphere


@both_types
@pytest.mark.parametrize("jit_compile", [None, False, True], ids=["eager", "function", "xla"])
def test_ends_are_exact(dtype, jit_compile):
    first, second = normal(7, 4, 4, 1, dtype=dtype), 3 * normal(7, 4, 4, 1, seed=1, dtype=dtype)
    path = interpolate_on_sphere if jit_compile is None else tf.function(interpolate_on_sphere, jit_compile=jit_compile)
    found = path(first, second, tf.constant([[0.0], [0.4], [1.0]], dtype))
    assert found.shape == (3, 7, 4, 4, 1)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found[0], first)
    np.testing.assert_array_equal(found[2], second)


def test_the_path_is_a_great_circle():
    first, second = (
        normal(3, 4, 4, 2, dtype=tf.float64).numpy(),
        2 * normal(3, 4, 4, 2, seed=1, dtype=tf.float64).numpy(),
    )
    t = np.linspace(0, 1, 11)
    path = interpolate_on_sphere(first, second, t[:, None]).numpy()
    np.testing.assert_allclose(lengths(path), np.outer(1 - t, lengths(first)) + np.outer(t, lengths(second)))
    unit = path / lengths(path)[..., None, None, None]
    whole = np.arccos(np.sum(unit[0] * unit[-1], (1, 2, 3)))
    np.testing.assert_allclose(np.arccos(np.sum(unit[:-1] * unit[1:], (2, 3, 4))), np.tile(whole / 10, [10, 1]))
    for n in range(3):  # The path lies in the plane of its two ends.
        np.testing.assert_array_equal(np.linalg.matrix_rank(unit[:, n].reshape(11, -1), tol=1e-9), 2)


def test_norms_stay_typical():
    path = interpolate_on_sphere(normal(32, 32, 3), normal(32, 32, 3, seed=1), np.linspace(0, 1, 9))
    np.testing.assert_allclose(lengths(path), 3072**0.5, rtol=0.05)  # A straight line falls to 0.7 of it.


def test_small_angles_are_exact_in_float32():
    first = normal(8, 8, 1, dtype=tf.float64)
    for distance in (1e-2, 1e-3, 3e-4, 1e-4, 1e-6, 1e-9):
        second = first + distance * normal(8, 8, 1, seed=1, dtype=tf.float64)
        exact = interpolate_on_sphere(first, second, 0.3)
        found = interpolate_on_sphere(tf.cast(first, tf.float32), tf.cast(second, tf.float32), 0.3)
        np.testing.assert_allclose(found, exact, rtol=0, atol=2e-6)


@both_types
def test_the_path_is_straight_where_no_circle_is_determined(dtype):
    z, nothing = normal(2, 4, 4, 1, dtype=dtype), tf.zeros([2, 4, 4, 1], dtype)
    for a, b in ((z, z), (z, 3 * z), (z, -z), (z, -2 * z), (z, nothing), (nothing, z), (nothing, nothing)):
        with tf.GradientTape() as tape:
            tape.watch([a, b])
            path = interpolate_on_sphere(a, b, [[0.0], [0.3], [1.0]])
        for i, t in enumerate((0.0, 0.3, 1.0)):
            np.testing.assert_allclose(path[i], (1 - t) * a + t * b, rtol=1e-5, atol=1e-6)
        for gradient in tape.gradient(path, [a, b]):
            assert np.all(np.isfinite(gradient))


# All functions


@pytest.mark.parametrize("jit_compile", [False, True], ids=["function", "xla"])
@pytest.mark.parametrize(
    "function",
    [
        functools.partial(split_latents, num_scales=3),
        lambda z: join_latents(split_latents(z, 3)),
        functools.partial(resample_latents, num_scales=3, kept=0.25, seed=(1, 2)),
        lambda z: manifold(z, normal(5, 1, 2, seed=1)),
        lambda z: interpolate_on_sphere(z[:2], z[2:], [[[0.0]], [[0.3]], [[1.0]]]),
    ],
    ids=["split", "join", "resample", "manifold", "sphere"],
)
def test_sizes_may_be_known_late(function, jit_compile):
    latents = normal(4, 3, 8, 4, 2)
    spec = tf.TensorSpec([4, None, None, None, 2])
    found = tf.function(function, input_signature=[spec], jit_compile=jit_compile)(latents)
    for ours, expected in zip(tf.nest.flatten(found), tf.nest.flatten(function(latents)), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)  # XLA draws and rounds differently.


def test_paths_have_gradients():
    latents = normal(4, 2, 2, 1, dtype=tf.float64)
    for function in (
        lambda z: manifold(z, [0.3, 0.7]),
        lambda z: interpolate_on_sphere(z[0], z[1], 0.3),
        lambda z: resample_latents(z, 2, 0.5, seed=(0, 1)),
    ):
        theoretical, numeric = tf.test.compute_gradient(function, [latents])
        np.testing.assert_allclose(theoretical[0], numeric[0], atol=1e-6)
