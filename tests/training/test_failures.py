"""A step that is not finite changes nothing, is named in the error, and is never saved."""

import numpy as np
import pytest
import tensorflow as tf

from tests.models import assert_equal, flow, images, normal, tiny, values
from tests.training.steep import Steep


def batches(bad, size=4, count=3):
    """Batches of images, of which batch `bad` is NaN. The first is number 1."""
    x = images(count * size).astype(np.float32)
    x[(bad - 1) * size : bad * size] = np.nan
    return tf.data.Dataset.from_tensor_slices(x).batch(size)


MODES = {
    "plain": {},
    "two_steps": {"steps_per_execution": 2},
    "xla": {"jit_compile": True},
    "eager": {"run_eagerly": True},
}


@pytest.mark.parametrize("mode", MODES)
def test_nan_images_stop_the_training(kind, mode, tmp_path):
    distribution = tiny()
    model = kind.compiled(distribution, averaging=0.5, options=MODES[mode])
    # The optimizer is the default, Adam, whose momentum would move weights even with gradients of 0.
    watched = [*distribution.trainable_variables, *model.averages.averages]
    # In "two_steps" a good batch follows in the same execution, and the statistics follow it.
    if mode != "two_steps":
        watched += distribution.non_trainable_variables
    taken = []
    snapshots = kind.callbacks.LambdaCallback(on_train_batch_begin=lambda batch, logs: taken.append(values(watched)))
    path = str(tmp_path / "{batch}.weights.h5")
    checkpoints = kind.callbacks.ModelCheckpoint(path, save_freq=1, save_weights_only=True)
    with pytest.raises(FloatingPointError, match="step 3: not finite: the output of layer 'tiny/pixel_logit'"):
        model.fit(batches(bad=3, count=4), callbacks=[checkpoints, snapshots], verbose=0)
    saved = sorted(p.name for p in tmp_path.iterdir())
    # Keras 3.10 names an execution of two steps by the first one, others by the last.
    two = [["1.weights.h5"], ["2.weights.h5"]] if mode == "two_steps" else [["1.weights.h5", "2.weights.h5"]]
    assert saved in two
    assert len(taken) == (2 if mode == "two_steps" else 3)
    assert_equal(values(watched), taken[-1])
    assert all(np.all(np.isfinite(value)) for value in values(distribution.variables))


@pytest.mark.parametrize("mode", MODES)
def test_nan_in_a_layer_is_named(kind, mode):
    distribution = tiny()
    model = kind.compiled(distribution, options=MODES[mode])
    broken = next(v for v in distribution.trainable_variables if "conv_out/filters" in v.name)
    broken.assign(tf.fill(broken.shape, np.nan))
    before = values(distribution.trainable_variables)
    with pytest.raises(FloatingPointError, match="step 1: not finite: the output of layer 'tiny/coupling'"):
        model.fit(images(), batch_size=4, verbose=0)
    assert_equal(values(distribution.trainable_variables), before)
    # The layers before the broken one saw good batches, and those after it must not remember the bad one.
    assert all(np.all(np.isfinite(value)) for value in values(distribution.non_trainable_variables))


@pytest.mark.parametrize("place", ["level_0/channel_1", "level_1/checkerboard_2"])
def test_nan_in_a_coupling_of_a_flow_is_named(kind, place):
    distribution = flow(num_scales=2)
    broken = next(v for v in distribution.trainable_variables if f"{place}/network/residual/conv_in/bias" in v.name)
    broken.assign(tf.fill(broken.shape, np.nan))
    # This looks at the message only, and eager mode is fastest for one step.
    model = kind.compiled(distribution, options={"run_eagerly": True})
    with pytest.raises(FloatingPointError, match=f"step 1: .* layer 'real_nvp_image/{place}/coupling'"):
        model.fit(images(), batch_size=4, verbose=0)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("gradient", [np.inf, np.nan])
def test_infinite_gradient_of_a_finite_loss_is_named(kind, mode, gradient):
    distribution = Steep(gradient)
    model = kind.compiled(distribution, options=MODES[mode])
    with pytest.raises(FloatingPointError, match="step 1: not finite: the gradient of 'weight:0'"):
        model.fit(images(), batch_size=4, verbose=0)
    assert distribution.weights[0].numpy() == 1.0


def test_gradient_with_an_infinite_norm_is_named(kind):
    # The gradient is finite, but its square is not in float32, so that clipping by the norm would make it NaN.
    distribution = Steep(1e25)
    model = kind.compiled(distribution)
    with pytest.raises(FloatingPointError, match="step 1: not finite: the gradient of 'weight:0'"):
        model.fit(images(), batch_size=8, verbose=0)
    assert distribution.weights[0].numpy() == 1.0


def test_finite_gradients_of_an_infinite_norm_are_named(kind):
    distribution = Steep(1.5e19, count=2)  # Each square is finite, and their sum is not.
    model = kind.compiled(distribution)
    with pytest.raises(FloatingPointError, match="step 1: not finite: the gradients' global norm"):
        model.fit(images(), batch_size=8, verbose=0)
    assert [weight.numpy() for weight in distribution.weights] == [1.0, 1.0]


def test_infinite_loss_is_named(kind):
    distribution = Steep(1.0, unlikely=0.0)
    model = kind.compiled(distribution)
    with pytest.raises(FloatingPointError, match="step 1: not finite: the likelihood"):
        model.fit(images(), verbose=0)
    assert distribution.weights[0].numpy() == 1.0


def test_fit_goes_on_after_a_failure(kind):
    model = kind.compiled(tiny())
    with pytest.raises(FloatingPointError):
        model.fit(batches(bad=2), verbose=0)
    assert np.isfinite(model.fit(images(), verbose=0).history["loss"][0])
    # There were three good steps, and a failed one is not counted.
    with pytest.raises(FloatingPointError, match="step 4"):
        model.fit(batches(bad=2), verbose=0)


@pytest.mark.parametrize("names", [[], ["TerminateOnNaN"]])
def test_failures_are_raised_with_a_callback_list(kind, names):
    model = kind.compiled(tiny())
    callbacks = [getattr(kind.callbacks, name)() for name in names]
    given = kind.callbacks.CallbackList(callbacks, model=model, add_history=True)
    with pytest.raises(FloatingPointError, match="step 2"):
        model.fit(batches(bad=2), callbacks=given, verbose=0)


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_images_that_are_not_finite_are_refused(kind, method, value):
    x = images().astype(np.float32)
    x[3, 1, 2, 0] = value
    with pytest.raises(ValueError, match="`x` holds values that are not finite"):
        getattr(kind.compiled(normal()), method)(x, verbose=0)


def test_validation_images_are_checked_before_training(kind):
    distribution = normal()
    x = images().astype(np.float32)
    with pytest.raises(ValueError, match="`validation_data` holds values that are not finite"):
        kind.compiled(distribution).fit(x, validation_data=(x * np.nan,), verbose=0)
    np.testing.assert_array_equal(distribution.distribution.loc, 100.0)
