"""What is of Keras 3 alone; what a `FlowModel` does under either Keras is tested in `tests/training`, by its `kind`."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import tfp_realnvp
from tests import models
from tests.kerases import KINDS
from tests.models import images, values
from tfp_realnvp import keras3

OLD_MUON = tuple(int(part) for part in keras.__version__.split(".")[:2]) < (3, 13)


def trained(kind, optimizer, *, options=None, fit=None, conditioning=None, epochs=2, **arguments):
    """A model of `tiny` after some epochs, and what `fit` logged."""
    size = None if conditioning is None else conditioning.shape[-1]
    distribution = models.tiny(conditioning_size=size, residual_blocks=1)
    for i, v in enumerate(distribution.trainable_variables):
        v.assign(0.3 * tf.random.stateless_normal(v.shape, [i, 0]))
    model = KINDS[kind].compiled(distribution, optimizer=optimizer(KINDS[kind].library), options=options, **arguments)
    if not epochs:
        return model, {}
    history = model.fit(images(16), conditioning, 4, epochs, 0, shuffle=False, validation_split=0.25, **(fit or {}))
    return model, history.history


@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("weights", [None, np.arange(16, dtype=np.float32)])
def test_both_kerases_log_the_same(conditional, weights):
    conditioning = np.random.RandomState(1).randn(16, 3).astype(np.float32) if conditional else None
    expected, logs = (
        trained(
            kind,
            lambda library: library.optimizers.SGD(1e-2, global_clipnorm=10.0),
            conditioning=conditioning,
            fit={"sample_weight": weights},
            averaging=0.8,
            l2=0.01,
            seed=3,
        )[1]
        for kind in KINDS
    )
    assert expected.keys() == logs.keys()
    for name in expected:
        np.testing.assert_allclose(logs[name], expected[name], rtol=1e-6, err_msg=name)


def test_both_kerases_have_the_same_gradients():
    moved = []
    for kind in KINDS:
        model, _ = trained(kind, lambda library: library.optimizers.SGD(1.0), l2=0.1, epochs=0)
        before = values(model.distribution.trainable_variables)
        logs = model.fit(images(), verbose=0).history
        after = values(model.distribution.trainable_variables)
        moved.append([logs["loss"], logs["gradient_norm"], *(a - b for a, b in zip(after, before, strict=True))])
    for one, other in zip(*moved, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-6, atol=1e-6 * np.max(np.abs(one)))


def test_both_kerases_evaluate_draw_and_score_the_same():
    found = []
    for kind in KINDS:
        model, _ = trained(kind, lambda library: library.optimizers.SGD(1e-3), averaging=0.8)
        x = images(5)
        found.append([model.predict(x, verbose=0), model.predict(x, draw=2, verbose=0), model.log_prob(x)])
        found[-1] += [model.evaluate(x, verbose=0), model.sample(3, seed=1, whole=False)]
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-6)


@pytest.mark.parametrize(("first", "second"), [("tf_keras", "keras"), ("keras", "tf_keras")])
def test_a_flow_goes_on_under_the_other_keras(first, second, tmp_path):
    model, _ = trained(first, lambda library: library.optimizers.SGD(1e-3))
    tfp_realnvp.save_flow(model.distribution, tmp_path)
    other = KINDS[second].compiled(tfp_realnvp.load_flow(tmp_path))
    np.testing.assert_allclose(other.predict(images(), verbose=0), model.predict(images(), verbose=0), rtol=1e-6)
    before = values(other.distribution.trainable_variables)
    other.fit(images(), verbose=0)
    assert any((a != b).any() for a, b in zip(values(other.distribution.trainable_variables), before, strict=True))


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        pytest.param(
            lambda library: library.optimizers.Muon(1e-3),
            {},
            marks=pytest.mark.skipif(OLD_MUON, reason="Keras' Muon before 3.13 fails on any model of TensorFlow"),
        ),
        (lambda library: library.optimizers.Lion(1e-4), {"jit_compile": True}),
        (lambda library: library.optimizers.SGD(1e-3, use_ema=True), {"steps_per_execution": 2}),
        (lambda library: library.optimizers.LossScaleOptimizer(library.optimizers.Adam(1e-3)), {}),
        (lambda library: library.optimizers.AdamW(1e-3), {"run_eagerly": True}),
        (lambda library: "adamax", {}),
    ],
    ids=["Muon", "Lion, XLA", "averages of Keras", "loss scaling", "eager", "by name"],
)
def test_optimizers_of_keras_3(optimizer, options):
    _, logs = trained("keras", optimizer, options=options)
    assert np.all(np.isfinite(logs["gradient_norm"]))
    assert logs["loss"][1] < logs["loss"][0]


def test_a_loss_scale_that_is_too_high_is_lowered():
    def optimizer(library):
        return library.optimizers.LossScaleOptimizer(library.optimizers.SGD(1e-3), initial_scale=2.0**126)

    model, _ = trained("keras", optimizer, epochs=4)
    assert model.optimizer.dynamic_scale < 2.0**126
    assert all(np.isfinite(value).all() for value in values(model.distribution.variables))


def test_an_optimizer_of_tf_keras_is_refused():
    with pytest.raises(TypeError, match=r"`optimizer`=.*must be an instance of one of `keras\.optimizers`"):
        keras3.FlowModel(models.normal()).compile(tf_keras.optimizers.Adam())
    model = KINDS["keras"].compiled(models.normal())
    with pytest.raises(TypeError, match=r"`callbacks` hold .*must be of keras\.callbacks"):
        model.fit(images(), callbacks=[tf_keras.callbacks.TerminateOnNaN()])


def test_weights_alone(tmp_path):
    model, _ = trained("keras", lambda library: library.optimizers.SGD(1e-3), averaging=0.8)
    model.save_weights(tmp_path / "model.weights.h5")
    other = keras3.FlowModel(models.tiny(residual_blocks=1), averaging=0.8)
    other.load_weights(tmp_path / "model.weights.h5")
    models.assert_equal(values(other.distribution.variables), values(model.distribution.variables))
    models.assert_equal(values(other.averages.averages), values(model.averages.averages))


def test_the_summary_shows_and_counts_the_parts_of_the_flow(capsys):
    distribution = models.flow(num_scales=2)
    model = keras3.FlowModel(distribution)
    model.summary(line_length=160)
    printed = capsys.readouterr().out
    assert len(model.variable_groups) == 20
    assert all(group.name in printed for group in model.variable_groups)
    count = sum(v.shape.num_elements() for v in distribution.trainable_variables)
    assert f"Trainable params: {count:,}" in printed


def test_the_policy_of_keras_3_rounds_no_pixels(tmp_path):
    pixels = np.float32(images()) + np.float32(0.37)
    expected = keras3.FlowModel(models.normal(), dequantize=False).predict(pixels, verbose=0)
    with models.policy("mixed_bfloat16", keras):
        model = KINDS["keras"].compiled(models.normal(), dequantize=False)
        np.testing.assert_array_equal(model.predict(pixels, verbose=0), expected)
        model.fit(pixels, verbose=0)
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        served = tf.saved_model.load(loaded.export(tmp_path / "served"))
    np.testing.assert_array_equal(loaded.predict(pixels, verbose=0), model.predict(pixels, verbose=0))
    log_prob = served.serving_default(tf.constant(pixels), dequantize=tf.constant(False))["log_prob"]
    np.testing.assert_allclose(log_prob, model.log_prob(pixels), rtol=1e-6)


def test_the_private_functions_of_keras_that_this_leans_on_are_there():
    layer, optimizer = keras.layers.Layer(), keras.optimizers.SGD()
    assert callable(layer._track_variable), "Layer._track_variable makes a tf.Variable one of a layer's"
    assert callable(optimizer._all_reduce_sum_gradients), "an optimizer sums the gradients of replicas by it"
    own = tf.Variable(1.0)
    assert keras.Variable(own).value is own, "keras.Variable takes a tf.Variable as it is"


def test_several_workers_are_refused():
    with (
        tf.distribute.MultiWorkerMirroredStrategy().scope(),
        pytest.raises(RuntimeError, match=r"keras issue 20585\): take `tfp_realnvp\.FlowModel`"),
    ):
        keras3.FlowModel(models.normal())


def test_another_backend_is_refused():
    program = "import keras; keras.backend.backend = lambda: 'jax'; import tfp_realnvp.keras3"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "ImportError: Keras 3 has the backend 'jax': must be 'tensorflow'" in done.stderr
    assert "KERAS_BACKEND=tensorflow" in done.stderr
