"""Keras saves a model in one file with all that training needs, and is refused where it would lose something."""

import pathlib
import zipfile

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tests import models
from tests.saving.distributions import DISTRIBUTIONS, Scaling
from tfp_realnvp import (
    AffineCoupling,
    Checkerboard,
    Composition,
    CouplingNetwork,
    NetworkOptions,
    PixelLogit,
)


def _trained(kind, distribution=None, **options):
    """A model after some steps, which is not compiled as by default."""
    model = kind.FlowModel(distribution or models.normal(), **{"averaging": 0.9, "seed": 3} | options)
    rate = kind.optimizers.schedules.CosineDecay(1e-3, 100)
    model.compile(kind.optimizers.Adam(rate, global_clipnorm=10.0), steps_per_execution=2)
    _fit(model)
    return model


def _fit(model, **options):
    conditional = any(getattr(part, "conditioning_size", None) for part in model.distribution.submodules)
    y = np.eye(3, dtype=np.float32)[np.arange(16) % 3] if conditional else None
    return model.fit(models.images(16), y, batch_size=4, shuffle=False, verbose=0, **options)


def _state(model):
    return [(v.name, v.dtype, v.shape, v.numpy().tobytes()) for v in (*model.variables, *model.optimizer.variables)]


def _conditional():
    """The smallest flow that takes conditioning."""
    network = CouplingNetwork(Checkerboard(), 1, 2, 0, NetworkOptions(conditioning_size=3))
    return models.on_prior(Composition([PixelLogit(), AffineCoupling(Checkerboard(), network)], name="conditional"))


@pytest.mark.parametrize("name", ["conditional", "keras_conditioner", "no_bijector"])
def test_a_loaded_model_trains_on_as_the_saved_one(kind, name, tmp_path):
    model = _trained(kind, _conditional() if name == "conditional" else DISTRIBUTIONS[name]())
    model.save(tmp_path / "model.keras")
    loaded = kind.load_model(tmp_path / "model.keras")
    assert type(loaded) is kind.FlowModel
    assert loaded.get_config() == model.get_config()
    assert loaded.optimizer.get_config() == model.optimizer.get_config()
    assert _state(loaded) == _state(model)
    histories = [_fit(it, epochs=2).history for it in (model, loaded)]
    assert histories[0] == histories[1]
    assert _state(loaded) == _state(model)


def test_arguments_and_the_default_optimizer_come_back(kind, tmp_path):
    model = kind.FlowModel(models.normal(), levels=16, dequantize=False, l2=0.25, seed=7, name="mine")
    model.compile()
    model.save(tmp_path / "model.keras")
    loaded = kind.load_model(tmp_path / "model.keras")
    assert (loaded.levels, loaded.dequantize, loaded.l2, loaded.averages) == (16, False, 0.25, None)
    assert (int(loaded.seed), loaded.name) == (7, "mine")
    assert type(loaded.optimizer) is type(model.optimizer)
    assert loaded.optimizer.get_config() == model.optimizer.get_config()


def test_a_checkpoint_of_the_best_epoch(kind, tmp_path):
    model = _trained(kind)
    best = kind.callbacks.ModelCheckpoint(str(tmp_path / "best.keras"), monitor="loss", save_best_only=True)
    history = _fit(model, epochs=3, callbacks=[best]).history["loss"]
    loaded = kind.load_model(tmp_path / "best.keras")
    assert loaded.optimizer.iterations == 4 * (2 + np.argmin(history))
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        spread = kind.load_model(tmp_path / "best.keras")
    assert _state(spread) == _state(loaded)
    spread.save(tmp_path / "again.keras")
    assert _state(kind.load_model(tmp_path / "again.keras")) == _state(loaded)


def test_a_clone_has_the_arguments_and_new_weights(kind):
    model = _trained(kind)
    clone = kind.library.models.clone_model(model)
    assert clone.get_config() == model.get_config()
    assert [v.shape for v in clone.variables] == [v.shape for v in model.variables]
    (mean,) = clone.distribution.variables
    assert not mean.numpy().any()


def test_classes_of_ones_own_are_told_as_to_keras(kind, tmp_path):
    model = _trained(kind, models.on_prior(Scaling(2.0)))
    model.save(tmp_path / "model.keras")
    name = f"{Scaling.__module__}.Scaling"
    with pytest.raises(ValueError, match=f"class '{name}' is not known"):
        kind.load_model(tmp_path / "model.keras")
    loaded = kind.load_model(tmp_path / "model.keras", custom_objects={name: Scaling})
    assert _state(loaded) == _state(model)


def test_a_damaged_file_is_refused(kind, tmp_path):
    path = tmp_path / "model.keras"
    _trained(kind).save(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(zipfile.BadZipFile, match="Bad CRC-32"):
        kind.load_model(path)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=["full", "Ctrl-C"])
def test_a_file_is_replaced_whole_or_not_at_all(kind, error, tmp_path, monkeypatch):
    model = _trained(kind)
    model.save(tmp_path / "model.keras")
    before = _state(model)
    _fit(model)

    def stop(*args, **kwargs):
        raise error

    with monkeypatch.context() as patch:
        # Keras has opened the file by then.
        patch.setattr(f"{kind.library.__name__}.src.saving.saving_lib._save_state", stop)
        with pytest.raises(type(error)):
            model.save(tmp_path / "model.keras")
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]
    assert _state(kind.load_model(tmp_path / "model.keras")) == before
    monkeypatch.setattr("builtins.input", lambda *args: "n")
    model.save(tmp_path / "model.keras", overwrite=False)
    assert _state(kind.load_model(tmp_path / "model.keras")) == before
    model.save(str(tmp_path / "model.keras"))
    assert _state(kind.load_model(tmp_path / "model.keras")) == _state(model) != before


def _undescribable():
    return models.on_prior(AffineCoupling(Checkerboard(), lambda x: tf.concat([x, x], -1)))


def test_what_cannot_be_saved_is_refused_before_training(kind, tmp_path):
    model = _trained(kind, averaging=None)
    before = _state(model)
    for name in ("model", "model.h5"):
        with pytest.raises(ValueError, match=rf"`filepath`=.*{name}: must end in \.keras"):
            model.save(tmp_path / name)
        # Keras 3 refuses it when it is made.
        with pytest.raises(ValueError, match=rf"filepath.*must end in .*\.keras.*{name}|`filepath`=.*{name}: must end"):
            _fit(model, callbacks=kind.callbacks.ModelCheckpoint(str(tmp_path / name)))
        if kind.library is tf_keras:
            late = tf_keras.callbacks.ModelCheckpoint(str(tmp_path / name))
            for given in ([late], tf_keras.callbacks.CallbackList([late], model=model)):
                with pytest.raises(ValueError, match=rf"`filepath`=.*{name}: must end in \.keras"):
                    _fit(model, callbacks=given)
    assert _state(model) == before
    other = kind.FlowModel(_undescribable())
    other.compile()
    with pytest.raises(TypeError, match=r"`distribution.bijector.conditioner`"):
        _fit(other, callbacks=[kind.callbacks.ModelCheckpoint(str(tmp_path / "model.keras"))])
    assert other.optimizer.iterations == 0
    assert not list(tmp_path.iterdir())
    path = str(tmp_path / "model.weights.h5")
    _fit(other, callbacks=[kind.callbacks.ModelCheckpoint(path, save_weights_only=True)])


def test_export_has_the_weights_of_evaluate(kind, tmp_path):
    model = _trained(kind, DISTRIBUTIONS["chain"]())
    folder = pathlib.Path(model.export(tmp_path / "served"))
    assert folder == tmp_path / "served" / "1"
    images = models.images(4)
    served = tf.saved_model.load(str(folder))
    got = served.serving_default(images.astype(np.float32) + 0.5, dequantize=False)
    real = tf.constant(images + 0.5, tf.float32)
    last = model.distribution.log_prob(real)
    with model.evaluation_weights():
        averaged = model.distribution.log_prob(tf.identity(real))
    np.testing.assert_allclose(got["log_prob"], averaged, rtol=1e-5)
    assert np.abs(got["log_prob"] - last).max() > 1e-3
