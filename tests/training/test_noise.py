"""The noise of training and of evaluation depends on the seed, and that of evaluation never on training."""

import numpy as np

from tests.models import assert_equal, copy_weights, images, normal, normal_bits, tiny, values
from tests.training.fitting import by_steps, noisy


def test_predict_takes_any_draw_of_the_noise(kind):
    x = images(10)
    model = kind.compiled(normal(), seed=3)

    def predict(draw):
        return model.predict(x, batch_size=4, verbose=0, draw=draw)

    for draw in (0, 1, 7, 2**31 - 1):
        np.testing.assert_allclose(predict(draw), normal_bits(noisy(x, seed=3, draw=draw)), rtol=1e-6)
    assert model.predict_function.experimental_get_tracing_count() <= 2  # One is for batches of 4, one for any.
    first = predict(1)
    bits = model.evaluate(x, batch_size=4, verbose=0)[1]  # This is draw 0 whatever came before.
    np.testing.assert_allclose(bits, normal_bits(noisy(x, seed=3)).mean(), rtol=1e-6)
    assert_equal([first], [predict(1)])
    assert np.abs(first - predict(2)).min() > 0


def test_evaluation_is_repeatable(kind):
    model = kind.compiled(tiny())
    first = model.evaluate(images(), batch_size=4, verbose=0)
    predicted = model.predict(images(), batch_size=4, verbose=0)
    assert model.evaluate(images(), batch_size=4, verbose=0) == first
    assert_equal([predicted], [model.predict(images(), batch_size=4, verbose=0)])
    np.testing.assert_allclose(predicted.mean(), first[1], rtol=1e-6)
    # Training in between does not change the noise.
    start = values(model.distribution.variables)
    model.fit(images(), verbose=0)
    for v, value in zip(model.distribution.variables, start, strict=True):
        v.assign(value)
    assert model.evaluate(images(), batch_size=4, verbose=0) == first


def test_training_noise_differs_by_step_and_seed(kind):
    model = kind.compiled(normal(), optimizer=kind.still())
    history = by_steps(model, images(), 4)["loss"]
    assert len(set(history)) == 4  # Only the noise differs from step to step.
    assert by_steps(kind.compiled(normal(), optimizer=kind.still()), images(), 4)["loss"] == history
    other = by_steps(kind.compiled(normal(), optimizer=kind.still(), seed=1), images(), 4)["loss"]
    assert not set(other) & set(history)


def test_the_same_seed_gives_the_same_training(kind):
    models = [kind.compiled(tiny(), seed=seed) for seed in (5, 5, 6)]
    for model in models[1:]:
        copy_weights(models[0], model)
    histories = [by_steps(model, images(), 4)["loss"] for model in models]
    assert histories[0] == histories[1] != histories[2]
    assert_equal(values(models[0].distribution.variables), values(models[1].distribution.variables))
