"""`load_flow` gives back, bit for bit, the distribution that `save_flow` was given."""

import json
import os
import pathlib

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tests import models
from tests.saving.distributions import DISTRIBUTIONS, Scaling, answers, moved
from tfp_realnvp import AffineCoupling, Checkerboard, CouplingNetwork, FlowModel, PixelLogit, load_flow, save_flow

tfb = tfp.bijectors


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_loaded_is_what_was_saved(name, tmp_path):
    tf.random.set_seed(0)
    saved = moved(DISTRIBUTIONS[name]())
    save_flow(saved, tmp_path)
    loaded = load_flow(tmp_path)
    assert type(loaded) is type(saved)
    assert loaded.name == saved.name
    assert [(v.name, v.trainable, v.dtype, v.shape) for v in loaded.variables] == [
        (v.name, v.trainable, v.dtype, v.shape) for v in saved.variables
    ]
    models.assert_equal(models.values(loaded.variables), models.values(saved.variables))
    assert answers(loaded) == answers(saved)


def test_loaded_trains_on(tmp_path):
    saved = moved(models.flow(), 0.01)
    save_flow(saved, tmp_path)
    loaded = load_flow(tmp_path)
    for distribution in (saved, loaded):
        model = FlowModel(distribution)
        model.compile()
        model.fit(models.images(16), batch_size=4, epochs=2, shuffle=False, verbose=0)
    models.assert_equal(models.values(loaded.variables), models.values(saved.variables))


def test_flows_go_into_a_strategy_and_out_of_it(tmp_path):
    saved = moved(models.flow())
    save_flow(saved, tmp_path)
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        loaded = load_flow(tmp_path)
    assert all(isinstance(v, tf.distribute.DistributedValues) for v in loaded.variables)
    models.assert_equal(models.values(loaded.variables), models.values(saved.variables))
    # The weights come out of the strategy as well.
    save_flow(loaded, tmp_path)
    models.assert_equal(models.values(load_flow(tmp_path).variables), models.values(saved.variables))


def test_the_configuration_is_readable(tmp_path):
    config = json.loads((pathlib.Path(save_flow(models.flow(), tmp_path)) / "flow.json").read_text())
    flow = config["distribution"]["bijector"]
    assert flow["class"] == "tfp_realnvp.RealNVPImage"
    assert (flow["num_scales"], flow["preset"], flow["dtype"]) == (1, "released", {"class": "dtype", "name": "float32"})
    assert config["event_shape"] == [4, 4, 1]
    assert config["format"] == 3
    assert config["versions"]["tensorflow"] == tf.__version__


def test_it_is_an_export_too(tmp_path):
    distribution = moved(models.flow())
    path = pathlib.Path(save_flow(distribution, tmp_path, levels=256, model_card="# A card"))
    images = models.images(2)
    model = tf.saved_model.load(str(path))
    answer = model.serving_default(images.astype(np.float32), dequantize=False)
    np.testing.assert_allclose(answer["log_prob"], distribution.log_prob(images.astype(np.float32)), rtol=1e-5)
    assert (path / "MODEL_CARD.md").read_text().startswith("# A card\n")


def test_a_second_save_takes_the_place_of_the_first(tmp_path):
    distribution = models.flow()
    save_flow(distribution, tmp_path)
    moved(distribution)
    assert save_flow(distribution, tmp_path) == str(tmp_path / "2")
    assert [p.name for p in tmp_path.iterdir()] == ["2"]
    models.assert_equal(models.values(load_flow(tmp_path).variables), models.values(distribution.variables))


def test_older_saves_are_kept_if_asked_for(tmp_path):
    distribution = models.flow()
    first = models.values(distribution.variables)
    save_flow(distribution, tmp_path, keep_old=True)
    moved(distribution)
    assert save_flow(distribution, tmp_path, keep_old=True) == str(tmp_path / "2")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1", "2"]
    models.assert_equal(models.values(load_flow(tmp_path).variables), models.values(distribution.variables))
    (tmp_path / "2").rename(tmp_path / "aside")  # To go back.
    models.assert_equal(models.values(load_flow(tmp_path).variables), first)


def test_the_largest_request_is_chosen(tmp_path):
    model = tf.saved_model.load(save_flow(models.normal(), tmp_path, max_values=32))
    assert model.sample(count=2)["pixels"].shape == [2, 4, 4, 1]
    with pytest.raises(tf.errors.InvalidArgumentError, match="more than 32 values"):
        model.sample(count=3)


def test_unknown_classes_are_named(tmp_path):
    saved = moved(models.on_prior(Scaling(2.0)))
    save_flow(saved, tmp_path)
    name = f"{Scaling.__module__}.Scaling"
    with pytest.raises(ValueError, match=f"class '{name}' is not known: pass `custom_objects`"):
        load_flow(tmp_path)
    loaded = load_flow(tmp_path, custom_objects={name: Scaling})
    assert answers(loaded) == answers(saved)


def _used_twice():
    network = CouplingNetwork(Checkerboard(), 1, 2, 0)
    return tfb.Chain([AffineCoupling(Checkerboard(), network), AffineCoupling(Checkerboard(), network)])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: AffineCoupling(Checkerboard(), lambda x: tf.concat([x, x], -1)),
            r"`distribution.bijector.conditioner`",
        ),
        (_used_twice, "a part that is used in two places"),
    ],
)
def test_what_cannot_be_loaded_is_not_saved(make, words, tmp_path):
    with pytest.raises((TypeError, ValueError), match=words):
        save_flow(models.on_prior(make()), tmp_path / "flow")
    assert not (tmp_path / "flow").exists()


def test_the_home_directory_is_known(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert save_flow(models.normal(), "~/flow") == str(tmp_path / "flow" / "1")
    load_flow("~/flow")
    load_flow(os.fsencode(tmp_path / "flow"))


@tf_keras.saving.register_keras_serializable("tests")
def cubed(x):
    return x**3


def _functional():
    layers = tf_keras.layers
    image = tf_keras.Input([None, None, 1])
    options = {"padding": "same", "kernel_initializer": "he_normal", "kernel_regularizer": "l2"}
    hidden = layers.Conv2D(3, 3, activation="gelu", kernel_constraint="non_neg", **options)(image)
    hidden = layers.Activation(tf.nn.relu)(layers.Concatenate()([hidden, image]))
    inner = tf_keras.Sequential(
        [layers.Conv2D(4, 1, activation=cubed), layers.LeakyReLU(), layers.LayerNormalization()]
    )
    model = tf_keras.Model(
        image, layers.Conv2D(2, 1, bias_initializer=tf_keras.initializers.Constant(0.1))(inner(hidden))
    )
    return models.on_prior(tfb.Chain([PixelLogit(), AffineCoupling(Checkerboard(), model, name="with_keras")]))


def test_models_of_plain_keras_layers_are_loaded(tmp_path):
    saved = moved(_functional())
    save_flow(saved, tmp_path)
    loaded = load_flow(tmp_path)
    models.assert_equal(models.values(loaded.variables), models.values(saved.variables))
    assert answers(loaded) == answers(saved)
    models.compiled(saved).save(tmp_path / "model.keras")
    assert answers(tf_keras.models.load_model(tmp_path / "model.keras").distribution) == answers(saved)
