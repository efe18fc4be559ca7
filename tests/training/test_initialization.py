"""`fit` starts `ActNorm`s from its first batch, once, whatever the form of the data."""

import numpy as np
import pytest
import tensorflow as tf

from tests.models import SHAPE, images, on_prior
from tfp_realnvp import ActNorm, GlowImage, initialize_from_data
from tfp_realnvp.training import initialization


def glow(**options):
    return on_prior(GlowImage(1, **({"num_scales": 1, "depth": 2, "width": 3} | options)))


def norms(distribution):
    return [m for m in distribution.submodules if isinstance(m, ActNorm)]


def frozen(kind, distribution, **options):
    """A model whose training moves nothing, so that only the start does."""
    return kind.compiled(distribution, optimizer=kind.optimizers.SGD(0.0), **options)


def generator():
    for seed in range(2):
        yield (images(8, seed=seed),)  # Keras 3 takes tuples only.


FORMS = {
    "array": lambda kind: (images(8), {"batch_size": 8}),
    "tensor": lambda kind: (tf.constant(images(8)), {"batch_size": 8}),
    "dataset": lambda kind: (tf.data.Dataset.from_tensors(images(8)), {}),
    "sequence": lambda kind: (kind.sequence(list(generator())), {}),
    "generator": lambda kind: (generator(), {"steps_per_epoch": 2}),
}


@pytest.mark.parametrize("form", FORMS)
def test_fit_starts_every_norm_from_the_first_batch(kind, form):
    distribution = glow()
    x, options = FORMS[form](kind)
    history = frozen(kind, distribution).fit(x, epochs=1, verbose=0, **options)
    assert all(norm.initialized for norm in norms(distribution))
    expected = glow()
    first = expected.bijector.parts[1].parts[1]
    # The noise is of no importance for the first norm beside pixels of all values.
    initialize_from_data(expected, images(8).astype(np.float32) + np.float32(0.5))
    ours = distribution.bijector.parts[1].parts[1]
    np.testing.assert_allclose(ours.bias, first.bias, atol=0.1)
    np.testing.assert_allclose(ours.log_scale, first.log_scale, atol=0.1)
    assert len(history.history["loss"]) == 1


@pytest.mark.parametrize("convert", [np.asarray, tf.constant])
@pytest.mark.parametrize("count", [5, 13, 40])
def test_it_starts_from_rows_of_the_whole_array(count, convert):
    x, y = convert(np.arange(count)), convert(np.arange(count) + 100)
    same, (rows, conditioning) = initialization.first_batch(x, y, 8, validation_split=0.2)
    assert same is x
    rows = np.asarray(rows)
    trained = int(0.8 * count)
    assert len(rows) == len(set(rows)) == min(8, trained)
    assert rows.min() == 0
    assert trained - trained // len(rows) - 1 <= rows.max() < trained
    np.testing.assert_array_equal(conditioning, rows + 100)


def test_it_may_start_before_fit(kind):
    model = frozen(kind, glow(), averaging=0.5)
    model.initialize_from_data(images(8, seed=3))
    started = [norm.bias.numpy() for norm in norms(model.distribution)]
    assert all(np.abs(bias).max() > 0 for bias in started)
    with model.evaluation_weights():
        for norm, bias in zip(norms(model.distribution), started, strict=True):
            np.testing.assert_array_equal(norm.bias, bias)
    model.fit(images(8), verbose=0)
    for norm, bias in zip(norms(model.distribution), started, strict=True):
        np.testing.assert_array_equal(norm.bias, bias)


def test_a_generator_keeps_its_first_batch(kind):
    model = frozen(kind, glow())
    seen = []
    model.fit((seen.append(len(x)) or (x,) for (x,) in generator()), epochs=1, steps_per_epoch=2, verbose=0)
    assert seen == [8, 8]


def test_training_goes_on_from_where_it_was_and_averages_begin_at_the_start(kind):
    distribution = glow()
    model = frozen(kind, distribution, averaging=0.9)
    model.fit(images(8), verbose=0)
    start = [v.numpy() for v in distribution.variables]
    with model.evaluation_weights():
        for a, v in zip(start, distribution.variables, strict=True):
            np.testing.assert_array_equal(a, v)
    model.fit(images(8, seed=5), verbose=0)
    for a, v in zip(start, distribution.variables, strict=True):
        np.testing.assert_array_equal(a, v)


def test_a_saved_model_does_not_start_again(kind, tmp_path):
    model = frozen(kind, glow())
    model.fit(images(8), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = kind.load_model(tmp_path / "model.keras")
    loaded.fit(images(8, seed=5), verbose=0)
    for a, b in zip(model.distribution.variables, loaded.distribution.variables, strict=True):
        np.testing.assert_array_equal(a, b)


def test_conditioning_reaches_the_start(kind):
    distribution = glow(conditioning_size=3)
    frozen(kind, distribution).fit(images(8), np.eye(3, dtype=np.float32)[np.arange(8) % 3], verbose=0)
    assert all(norm.initialized for norm in norms(distribution))


@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        (np.zeros((2, 4, 4, 1), np.float32) + 0.5, ValueError, "`images`.*whole numbers"),
        (np.full((2, 4, 4, 1), 256), ValueError, "`images`.*256"),
        (np.zeros((2, 6, 4, 1), np.uint8), ValueError, r"`images` has shape \(2, 6, 4, 1\)"),
        (tf.data.Dataset.from_tensors(images(2)), TypeError, r"`images`=.*one batch, e.g. `next\(iter\(dataset\)\)`"),
    ],
    ids=["scaled", "levels", "shape", "dataset"],
)
def test_mistakes_of_a_model(kind, batch, error, message):
    model = frozen(kind, glow())
    with pytest.raises(error, match=message):
        model.initialize_from_data(batch)
    assert not any(norm.initialized for norm in norms(model.distribution))


@pytest.mark.parametrize(
    ("pixels", "error", "message"),
    [
        (np.zeros((2, 4, 4, 1), np.uint8), TypeError, "`pixels` has dtype uint8: must be floating point"),
        (np.zeros((2, 6, 4, 1), np.float32), ValueError, r"`pixels` of shape \(2, 6, 4, 1\): must be \[N, H, W, C\]"),
        (np.zeros((0, 4, 4, 1), np.float32), ValueError, r"`pixels` of shape \(0, 4, 4, 1\).*at least one image"),
    ],
)
def test_mistakes(pixels, error, message):
    assert SHAPE == (4, 4, 1)
    with pytest.raises(error, match=message):
        initialize_from_data(glow(), pixels)


def test_it_is_refused_in_a_graph():
    with pytest.raises(RuntimeError, match="call it before them"):
        tf.function(lambda x: initialize_from_data(glow(), x))(tf.zeros([1, *SHAPE]))


def test_a_model_that_was_never_started_says_so_when_it_is_sampled(kind):
    with pytest.warns(UserWarning, match=r"'glow_image' were never initialized.*FlowModel.fit"):
        assert kind.compiled(glow()).sample(2).shape == (2, *SHAPE)
