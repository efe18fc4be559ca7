"""Keras 3, which is `tf.keras`, is refused where tf_keras is meant, and no variable stays untrained in silence."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tests import models
from tfp_realnvp import Adam, AffineCoupling, Checkerboard, FlowModel, PixelLogit


def _layer(kind=tf_keras, build=True):
    layer = kind.layers.Conv2D(2, 3, padding="same", name="mine")
    if build:
        layer.build((None, None, None, 1))
    return layer


def _model(conditioner):
    parts = [PixelLogit(), AffineCoupling(Checkerboard(), conditioner)]
    return models.compiled(models.on_prior(tfp.bijectors.Chain(parts)))


def test_a_conditioner_of_keras_3_is_refused():
    for conditioner in (_layer(keras), keras.Sequential([_layer(keras)])):
        with pytest.raises(TypeError, match=r"`conditioner`=.*is of Keras 3.*take the same name from `tf_keras`"):
            AffineCoupling(Checkerboard(), conditioner)


def test_an_optimizer_and_callbacks_of_keras_3_are_refused():
    model = models.compiled(models.normal())
    with pytest.raises(TypeError, match=r"`optimizer`=.*is of Keras 3"):
        model.compile(keras.optimizers.Adam(1e-3))
    for wrong, words in (
        (keras.callbacks.TerminateOnNaN(), "is of Keras 3"),
        ("checkpoint", r"of tf_keras\.callbacks"),
    ):
        for given in (wrong, [tf_keras.callbacks.TerminateOnNaN(), wrong]):
            with pytest.raises(TypeError, match=f"`callbacks`.*{words}"):
                model.fit(models.images(), verbose=0, callbacks=given)
    assert model.optimizer.iterations == 0


def test_a_file_tells_keras_3_who_can_load_it(tmp_path):
    path = tmp_path / "model.keras"
    models.compiled(models.tiny()).save(path)
    with pytest.raises(TypeError, match="Could not locate class 'FlowModel'") as caught:
        keras.models.load_model(path)
    assert "`import tfp_realnvp`, then `tf_keras.models.load_model`" in str(caught.value)[:600]
    # Given the class itself, Keras 3 makes a model, and refuses it before any weight is read.
    classes = {f"tfp_realnvp>{kind.__name__}": kind for kind in (FlowModel, Adam)}
    with pytest.raises(ValueError, match="KerasSaveable"):
        keras.models.load_model(path, custom_objects=classes)
    assert isinstance(tf_keras.models.load_model(path), FlowModel)


def test_a_layer_that_is_not_built_is_refused():
    with pytest.raises(ValueError, match="`distribution` holds the Keras layer 'mine', which is not built"):
        _model(_layer(build=False))
    _model(_layer())


@pytest.mark.parametrize("kind", [tf_keras, keras], ids=["tf_keras", "Keras 3"])
@pytest.mark.parametrize("run_eagerly", [False, True])
def test_variables_out_of_sight_are_warned_of(kind, run_eagerly):
    layer = _layer(kind)
    model = _model(lambda x: layer(x))
    model.compile(run_eagerly=run_eagerly)
    before = layer.get_weights()
    with pytest.warns(UserWarning, match=r"are not trained: .*bias.*, .*kernel.*pass a tf_keras layer itself"):
        model.fit(models.images(), verbose=0)
    models.assert_equal(layer.get_weights(), before)


@pytest.mark.parametrize(
    "where",
    [
        contextlib.nullcontext,
        lambda: models.policy("mixed_bfloat16"),
        lambda: tf.distribute.MirroredStrategy(["CPU:0"]).scope(),
    ],
)
def test_variables_in_sight_are_trained(where):
    with where():
        layer = _layer()
        model = _model(layer)
    before = layer.get_weights()
    model.fit(models.images(), verbose=0)
    assert all(np.abs(a - b).max() > 0 for a, b in zip(layer.get_weights(), before, strict=True))
