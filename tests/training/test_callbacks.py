"""Keras' own callbacks do with a `FlowModel` what they do with any model."""

import csv

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tests.models import assert_equal, images, normal, tiny, values


def everything(model):
    return [*model.distribution.variables, *model.averages.averages, *model.optimizer.variables]


@pytest.mark.parametrize("name", ["weights", "weights.h5", "model.weights.h5"])
def test_model_checkpoint(kind, tmp_path, name):
    name = name if kind.library is tf_keras else f"{len(name)}.weights.h5"  # Keras 3 knows no other format.
    model = kind.compiled(tiny(), averaging=0.5)
    path = str(tmp_path / name)
    checkpoint = kind.callbacks.ModelCheckpoint(path, save_weights_only=True)
    model.fit(images(), batch_size=4, callbacks=[checkpoint], verbose=0)
    fresh = kind.compiled(tiny(), averaging=0.5)
    expected = model.evaluate(images(), verbose=0)
    assert fresh.evaluate(images(), verbose=0) != expected
    fresh.load_weights(path)
    assert fresh.evaluate(images(), verbose=0) == expected
    saved = [*model.distribution.variables, *model.averages.averages]
    assert_equal(values([*fresh.distribution.variables, *fresh.averages.averages]), values(saved))


def test_best_only(kind, tmp_path):
    # The validation images are white: the mean must climb to be better, and the second epoch goes down.
    white = np.full([4, 4, 4, 1], 255, np.uint8)
    model = kind.compiled(normal())
    loc = model.distribution.distribution.loc

    def on_epoch_begin(epoch, logs):
        loc.assign(tf.fill(loc.shape, [150.0, 120.0, 180.0][epoch]))

    path = tmp_path / "{epoch}.weights.h5"
    checkpoint = kind.callbacks.ModelCheckpoint(
        str(path), monitor="val_bits_per_dim", mode="min", save_best_only=True, save_weights_only=True
    )
    model.fit(
        images(),
        epochs=3,
        validation_data=(white,),
        callbacks=[kind.callbacks.LambdaCallback(on_epoch_begin=on_epoch_begin), checkpoint],
        verbose=0,
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1.weights.h5", "3.weights.h5"]


@pytest.mark.parametrize("frequency", ["epoch", 1])
def test_backup_and_restore(kind, tmp_path, frequency):
    # Both batches of an epoch are alike, since Keras begins an interrupted epoch's data anew.
    x = np.tile(images(4), [2, 1, 1, 1])

    def run(model, *extra):
        model.fit(x, batch_size=4, epochs=3, shuffle=False, callbacks=list(extra), verbose=0)

    def backup():
        return kind.callbacks.BackupAndRestore(str(tmp_path), save_freq=frequency)

    class Stop(kind.callbacks.Callback):
        """What a lost machine does to training."""

        def on_train_batch_end(self, batch, logs=None):
            if int(self.model.optimizer.iterations) == 3:
                raise KeyboardInterrupt

    whole, cut, resumed = (kind.compiled(tiny(), averaging=0.5) for _ in range(3))
    for a, b in zip(everything(whole), everything(cut), strict=True):
        b.assign(a)
    run(whole)
    with pytest.raises(KeyboardInterrupt):
        run(cut, backup(), Stop())
    run(resumed, backup())
    if frequency == 1 and kind.library is not tf_keras:  # Keras 3 takes the steps of that epoch once more.
        assert int(resumed.optimizer.iterations) == 7
        return
    assert int(resumed.optimizer.iterations) == 6
    assert_equal(values(everything(resumed)), values(everything(whole)))
    assert resumed.evaluate(images(), verbose=0) == whole.evaluate(images(), verbose=0)


def test_early_stopping(kind):
    model = kind.compiled(normal())
    loc = model.distribution.distribution.loc
    seen = []

    def on_epoch_begin(epoch, logs):
        if epoch == 2:
            loc.assign(tf.zeros(loc.shape))  # This is much worse: the mean of the images is near 128.

    def on_epoch_end(epoch, logs):
        seen.append(loc.numpy())

    stopping = kind.callbacks.EarlyStopping(
        monitor="val_bits_per_dim", patience=1, restore_best_weights=True, mode="min"
    )
    watch = kind.callbacks.LambdaCallback(on_epoch_begin=on_epoch_begin, on_epoch_end=on_epoch_end)
    history = model.fit(
        images(), epochs=9, validation_data=(images(8),), callbacks=[watch, stopping], verbose=0
    ).history["val_bits_per_dim"]
    assert len(history) == 3
    np.testing.assert_array_equal(loc, seen[int(np.argmin(history))])
    assert model.evaluate(images(8), verbose=0)[1] == min(history)


def test_logs_of_tensorboard_and_csv(kind, tmp_path):
    model = kind.compiled(tiny())
    history = model.fit(
        images(),
        batch_size=4,
        epochs=2,
        validation_data=(images(4, seed=1),),
        callbacks=[
            kind.callbacks.TensorBoard(str(tmp_path / "board"), histogram_freq=1, update_freq=1),
            kind.callbacks.CSVLogger(str(tmp_path / "log.csv")),
        ],
        verbose=0,
    ).history
    with (tmp_path / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    assert set(rows[0]) == {"epoch", "loss", "bits_per_dim", "gradient_norm", "val_loss", "val_bits_per_dim"}
    for name in history:
        np.testing.assert_allclose([float(row[name]) for row in rows], history[name], rtol=1e-6)
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = {}
    for part in ("train", "validation"):
        events = EventAccumulator(str(tmp_path / "board" / part))
        events.Reload()
        for tag in events.Tags()["tensors"]:
            board[part, tag] = [tf.make_ndarray(e.tensor_proto) for e in events.Tensors(tag)]
    np.testing.assert_allclose(board["train", "epoch_bits_per_dim"], history["bits_per_dim"], rtol=1e-6)
    np.testing.assert_allclose(board["validation", "epoch_bits_per_dim"], history["val_bits_per_dim"], rtol=1e-6)
    assert len(board["train", "batch_loss"]) == 4
    histograms = {tag for part, tag in board if "_histogram" not in tag and "gain" in tag}
    assert any("coupling.log_scale_gain" in tag.replace("/", ".") for tag in histograms)


def test_learning_rates(kind):
    model = kind.compiled(normal(), optimizer=kind.optimizers.SGD(1.0))
    rates = []
    schedule = kind.callbacks.LearningRateScheduler(lambda epoch: 10.0**-epoch)
    watch = kind.callbacks.LambdaCallback(
        on_epoch_end=lambda e, logs: rates.append(float(model.optimizer.learning_rate))
    )
    model.fit(images(), epochs=3, callbacks=[schedule, watch], verbose=0)
    np.testing.assert_allclose(rates, [1.0, 0.1, 0.01], rtol=1e-6)
    # At a rate near 0 nothing changes any more, so that there is a plateau from the second epoch on.
    model = kind.compiled(normal(), optimizer=kind.optimizers.SGD(1e-12))
    plateau = kind.callbacks.ReduceLROnPlateau(
        monitor="val_bits_per_dim", factor=0.5, patience=1, min_delta=0.0, mode="min"
    )
    model.fit(images(), epochs=3, validation_data=(images(4),), callbacks=[plateau], verbose=0)
    np.testing.assert_allclose(float(model.optimizer.learning_rate), 0.25e-12, rtol=1e-6)


def test_a_callback_list(kind):
    model = kind.compiled(normal())
    epochs = []
    given = kind.callbacks.CallbackList(
        [kind.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append(epoch))],
        model=model,
        add_history=True,
    )
    for _ in range(2):  # The list may be used again.
        model.fit(images(), epochs=2, callbacks=given, verbose=0)
    assert epochs == [0, 1, 0, 1]


def test_one_callback_alone(kind):
    model = kind.compiled(normal())
    epochs = []
    watch = kind.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append(epoch))
    model.fit(images(), callbacks=watch, verbose=0)
    assert epochs == [0]
