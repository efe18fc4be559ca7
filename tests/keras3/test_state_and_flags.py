"""Frozen layers, averages, loss scaling and constraints under Keras 3, and what it can't do with them."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

import tfp_realnvp
from tests import models
from tests.kerases import KINDS
from tests.models import assert_equal, images, on_prior, values
from tfp_realnvp import AffineCoupling, Checkerboard, PixelLogit, keras3
from tfp_realnvp.saving import keras_objects


def layer(library=keras, **options):
    made = library.layers.Conv2D(2, 3, padding="same", **options)
    made.build([None, None, None, 1])
    return made


def on(*networks):
    couplings = [AffineCoupling(Checkerboard(i % 2), n, log_scale_bound=1.0) for i, n in enumerate(networks)]
    return on_prior(tfp.bijectors.Chain([PixelLogit(), *couplings]))


def test_averages_of_keras_leave_a_frozen_network_alone():
    frozen = layer()
    frozen.trainable = False
    model = keras3.FlowModel(on(keras3.Network(frozen), keras3.Network(layer())))
    model.compile(keras.optimizers.SGD(1e-2, use_ema=True))
    before = values(frozen.weights)
    model.fit(images(), epochs=2, verbose=0)
    assert_equal(values(frozen.weights), before)
    assert len(model.trainable_variables) == len(model.trainable_weights) == len(model.non_trainable_variables) == 2
    frozen.trainable = True
    model.compile()
    model.fit(images(), verbose=0)
    assert (frozen.kernel.numpy() != before[0]).any()


@pytest.mark.parametrize("kind", KINDS)
def test_a_frozen_layer_of_the_other_keras_stays(kind):
    own = layer(tf_keras) if kind == "keras" else layer()
    own.trainable = False
    model = KINDS[kind].compiled(on(own if kind == "keras" else keras3.Network(own), keras3.Network(layer())))
    before = [weight.numpy() for weight in own.weights]
    model.fit(images(), verbose=0)
    assert_equal([weight.numpy() for weight in own.weights], before)


def test_a_loss_scale_factor_changes_no_step():
    found = []
    for factor in (None, 1024.0):
        distribution = models.tiny()
        for v in distribution.trainable_variables:
            v.assign(0.1 * np.ones(v.shape))
        model = keras3.FlowModel(distribution)
        model.compile(keras.optimizers.SGD(1e-3, global_clipnorm=1.0, loss_scale_factor=factor))
        model.fit(images(), verbose=0)
        found.append(values(distribution.variables))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_scaled_optimizer_is_loaded_without_the_policy(kind, tmp_path):
    library = KINDS[kind].library
    with models.policy("mixed_float16", library):
        model = KINDS[kind].compiled(models.tiny(), optimizer=library.optimizers.Adam(1e-3))
        model.fit(images(), epochs=2, verbose=0)
        model.save(tmp_path / "model.keras")
    loaded = library.models.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.optimizer, library.mixed_precision.LossScaleOptimizer)
    assert int(loaded.optimizer.iterations) == 2
    slots = [[np.asarray(v) for v in m.optimizer.variables] for m in (model, loaded)]
    assert_equal(*slots)


def test_an_optimizer_that_is_compiled_again_has_its_state_once(tmp_path):
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam())
    model = keras3.FlowModel(models.tiny())
    model.compile(optimizer)
    count = len(optimizer.variables)
    model.compile(optimizer)
    assert len(optimizer.variables) == count


def test_constraints_of_layers_hold():
    model = keras3.FlowModel(on(keras3.Network(layer(kernel_constraint="non_neg"))))
    model.compile(keras.optimizers.Adam(0.1))
    model.fit(images(), epochs=2, verbose=0)
    (kernel,) = (v for v in model.distribution.trainable_variables if len(v.shape) == 4)
    assert kernel.numpy().min() == 0


@pytest.mark.parametrize("kind", KINDS)
def test_regularizers_of_layers_are_refused(kind):
    with pytest.raises(
        ValueError, match=r"has losses of its own, as by a `kernel_regularizer`.*build the layer without"
    ):
        KINDS[kind].FlowModel(on(KINDS[kind].conditioner(layer(KINDS[kind].library, kernel_regularizer="l2"))))


def test_logs_are_better_if_lower(tmp_path):
    model = KINDS["keras"].compiled(models.tiny())
    best = keras.callbacks.ModelCheckpoint(tmp_path / "a.keras", monitor="val_bits_per_dim", save_best_only=True)
    others = [keras.callbacks.EarlyStopping("val_bits_per_dim"), keras.callbacks.ReduceLROnPlateau("bits_per_dim")]
    model.fit(images(), validation_data=images(), epochs=2, callbacks=[best, *others], verbose=0)
    assert (tmp_path / "a.keras").exists()


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (keras.optimizers.SGD, "must be an instance of one of"),
        (keras.optimizers.SGD(gradient_accumulation_steps=2), "must take one step for each batch"),
    ],
    ids=["class", "accumulation"],
)
def test_optimizers_that_would_go_wrong_are_refused(optimizer, message):
    with pytest.raises((TypeError, ValueError), match=message):
        keras3.FlowModel(models.normal()).compile(optimizer)


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        (lambda: "adam", {"steps_per_execution": 2}),
        (lambda: "adam", {"jit_compile": True}),
        (lambda: keras.optimizers.SGD(use_ema=True, ema_overwrite_frequency=1), {}),
    ],
    ids=["steps", "XLA", "averages"],
)
def test_what_keras_3_can_not_do_under_several_replicas_is_refused(optimizer, options):
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        model = KINDS["keras"].compiled(models.normal(), optimizer=optimizer(), options=options)
    with pytest.raises(ValueError, match="Keras 3 fails at each of them under several replicas"):
        model.fit(images(), verbose=0)


def test_optimizers_of_keras_can_be_loaded():
    """A new one is to be tried, and then listed or refused."""
    classes = {n for n, v in vars(keras.optimizers).items() if isinstance(v, type) and n not in ("Optimizer",)}
    listed = keras_objects.CLASSES["keras.optimizers"] | keras_objects.CLASSES_OF_KERAS_3["keras.optimizers"]
    assert classes - listed <= {"MultiOptimizer", "OptimizerMap"}


def test_an_unseen_variable_names_the_way_out_of_either_keras():
    hidden = layer()
    model = keras3.FlowModel(on(lambda x: hidden(x)))
    model.compile()
    with pytest.raises(ValueError, match="no variable is trainable"):
        model.fit(images(), verbose=0)
    model = keras3.FlowModel(on(lambda x: hidden(x), keras3.Network(layer())))
    model.compile()
    with pytest.warns(UserWarning, match=r"or a `tfp_realnvp\.keras3\.Network` of a layer of Keras 3"):
        model.fit(images(), verbose=0)


def test_a_network_in_two_places_is_refused_when_it_is_saved(tmp_path):
    network = keras3.Network(layer())
    model = KINDS["keras"].compiled(on(network, network))
    with pytest.raises(ValueError, match="a part that is used in two places"):
        model.save(tmp_path / "model.keras")
    assert tfp_realnvp.FlowModel(on(network, network)) is not None
