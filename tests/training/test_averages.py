"""The averages of the weights follow their formula, and are used for evaluation only."""

import numpy as np
import pytest

from tests.models import assert_equal, copy_weights, images, normal, tiny, values
from tests.training.fitting import by_steps


def test_averages_follow_their_closed_form(kind):
    distribution = tiny()
    model = kind.compiled(distribution, averaging=0.2, optimizer=kind.optimizers.Adam(0.1))
    names = [v.name for v in distribution.variables]
    assert any("statistics/mean" in name for name in names)
    assert [a.name for a in model.averages.averages] == [name.replace(":0", "/average:0") for name in names]
    seen = [values(distribution.variables)]
    after_step = kind.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(values(distribution.variables))
    )
    model.fit(images(), batch_size=2, callbacks=[after_step], verbose=0)
    averages = seen[0]
    for step, new in enumerate(seen[1:]):
        d = min(0.2, (1 + step) / (10 + step))  # This is 0.1, 0.18, then 0.2.
        averages = [d * a + (1 - d) * v for a, v in zip(averages, new, strict=True)]
    assert len(seen) == 5
    for average, expected in zip(values(model.averages.averages), averages, strict=True):
        np.testing.assert_allclose(average, expected, rtol=1e-5, atol=1e-7)

    # They are used for evaluation, and for nothing else.
    raw = values(distribution.variables)
    averaged = model.evaluate(images(), verbose=0)
    predicted = model.predict(images(), verbose=0)
    np.testing.assert_allclose(predicted.mean(), averaged[1], rtol=1e-6)
    assert_equal(values(distribution.variables), raw)
    with model.evaluation_weights():
        assert_equal(values(distribution.variables), values(model.averages.averages))
        assert kind.compiled(distribution).evaluate(images(), verbose=0) == averaged
    assert_equal(values(distribution.variables), raw)
    assert abs(kind.compiled(distribution).evaluate(images(), verbose=0)[1] - averaged[1]) > 1e-3
    with pytest.raises(KeyError), model.evaluation_weights():
        raise KeyError
    assert_equal(values(distribution.variables), raw)


def test_averaging_leaves_training_alone(kind):
    plain = kind.compiled(tiny())
    averaged = kind.compiled(tiny(), averaging=0.9)
    copy_weights(plain, averaged)
    by_steps(plain, images(), 3)
    averaged.fit(images(), batch_size=8, epochs=3, shuffle=False, validation_data=(images(4, seed=1),), verbose=0)
    assert_equal(values(averaged.distribution.variables), values(plain.distribution.variables))


@pytest.mark.parametrize("decay", [0.0, 1.0, 2])
def test_averaging_out_of_range_is_refused(kind, decay):
    with pytest.raises(ValueError, match="`averaging`"):
        kind.FlowModel(normal(), averaging=decay)
