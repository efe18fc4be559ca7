"""`FlowModel` hands the conditioning to distributions that take one, and refuses it for others."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.models import DIMENSIONS, assert_equal, couplings, images, normal, on_prior, values
from tests.training.fitting import batched, noisy

tfb = tfp.bijectors


def with_influence(bijector):
    """Changes the weights of the conditioning, which start at 0."""
    for v in bijector.trainable_variables:
        if "conditioning_weights" in v.name:
            v.assign(tf.random.stateless_normal(v.shape, [4, 5]))
    return bijector


@pytest.mark.parametrize("wrapped", [False, True], ids=["flow", "chain"])
def test_pairs_of_images_and_conditioning_are_taken(kind, wrapped):
    bijector = with_influence(couplings(conditioning_size=2))
    distribution = on_prior(tfb.Chain([bijector, tfb.Scale(1.1)]) if wrapped else bijector)
    x, vectors = images(8), np.random.RandomState(1).randn(8, 2).astype(np.float32)
    model = kind.compiled(distribution, optimizer=kind.still())
    keywords = {"conditioning": vectors}
    log_prob = distribution.log_prob(noisy(x), bijector_kwargs={bijector.name: keywords} if wrapped else keywords)
    loss, bits = model.evaluate(x, vectors, batch_size=4, verbose=0)
    np.testing.assert_allclose(bits, -np.mean(log_prob) / (DIMENSIONS * np.log(2)), rtol=1e-6)
    assert model.evaluate(batched(x, vectors), verbose=0) == [loss, bits]
    predicted = model.predict(batched(x, vectors), verbose=0)
    np.testing.assert_allclose(predicted.mean(), bits, rtol=1e-6)
    assert_equal([predicted], [model.predict((x, vectors), batch_size=4, verbose=0)])
    assert abs(model.evaluate(x, vectors[::-1], batch_size=4, verbose=0)[1] - bits) > 1e-4
    before = values(bijector.non_trainable_variables)
    plain = model.fit(x, vectors, batch_size=4, shuffle=False, verbose=0).history
    # All running statistics moved, so `training` arrived too.
    assert all(np.any(a != b) for a, b in zip(before, values(bijector.non_trainable_variables), strict=True))
    model.optimizer.iterations.assign(0)
    assert model.fit(batched(x, vectors), verbose=0).history == plain


def test_conditioning_is_refused_where_none_is_taken(kind):
    with pytest.raises(ValueError, match="takes no conditioning"):
        kind.compiled(normal(), optimizer=kind.still(), seed=3).evaluate(images(), np.zeros([8, 2]), verbose=0)


def test_a_chain_without_conditioning_trains(kind):
    bijector = couplings()
    model = kind.compiled(on_prior(tfb.Chain([bijector, tfb.Scale(0.9)])))
    before = values(bijector.non_trainable_variables)
    assert np.isfinite(model.fit(images(), verbose=0).history["loss"][0])
    assert all(np.any(a != b) for a, b in zip(before, values(bijector.non_trainable_variables), strict=True))
