"""Layers and models of Keras 3 as conditioners: seen, trained, saved."""

import keras
import numpy as np
import pytest
import tensorflow_probability as tfp

from tests.models import assert_equal, images, on_prior, values
from tfp_realnvp import AffineCoupling, Checkerboard, PixelLogit, load_flow, save_flow
from tfp_realnvp.keras3 import FlowModel, Network
from tfp_realnvp.saving import known_classes


def _conv_next():
    inputs = keras.Input([None, None, 1])
    h = keras.layers.Conv2D(4, 3, padding="same")(inputs)
    block = keras.layers.DepthwiseConv2D(3, padding="same")(h)
    block = keras.layers.LayerNormalization()(block)
    block = keras.layers.Dense(8, activation="gelu")(block)
    h = keras.layers.Add()([h, keras.layers.Dense(4)(block)])
    return keras.Model(inputs, keras.layers.Conv2D(2, 1, kernel_initializer="zeros")(h))


def _on(*networks):
    couplings = [AffineCoupling(Checkerboard(i % 2), n, log_scale_bound=1.0) for i, n in enumerate(networks)]
    return on_prior(tfp.bijectors.Chain([PixelLogit(), *couplings]))


def test_a_network_of_conv_next_blocks_is_trained_and_saved(tmp_path):
    model = FlowModel(_on(Network(_conv_next()), Network(_conv_next())))
    assert len(model.trainable_variables) == 2 * len(_conv_next().trainable_variables)
    model.compile(keras.optimizers.Adam(1e-2))
    losses = model.fit(images(), epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert_equal(values(loaded.distribution.variables), values(model.distribution.variables))
    save_flow(model.distribution, tmp_path / "flow")
    flow = load_flow(tmp_path / "flow")
    assert_equal(values(flow.trainable_variables), values(model.distribution.trainable_variables))
    pixels = np.float32(images()) + 0.5
    np.testing.assert_allclose(flow.log_prob(pixels), model.distribution.log_prob(pixels), rtol=1e-6)


class WithConditioning(keras.layers.Layer):
    """A layer of one's own, of two layers; it takes conditioning, and hands `training` on without naming it."""

    conditioning_size = 3

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.norm, self.conv = keras.layers.BatchNormalization(), keras.layers.Conv2D(2, 3, padding="same")
        self.dense = keras.layers.Dense(2)

    def build(self, shape):
        self.norm.build(shape)
        self.conv.build(shape)
        self.dense.build([None, self.conditioning_size])
        self.built = True

    def call(self, x, conditioning):
        return self.conv(self.norm(x)) + self.dense(conditioning)[:, None, None, :]


def test_a_layer_of_ones_own_that_takes_conditioning(tmp_path):
    layer = WithConditioning()
    layer.build([None, None, None, 1])
    model = FlowModel(_on(Network(layer)))
    model.compile(keras.optimizers.Adam(1e-2))
    conditioning = np.random.RandomState(0).randn(len(images()), 3).astype(np.float32)
    before = [v.numpy() for v in layer.dense.weights], layer.norm.moving_mean.numpy()
    model.fit(images(), conditioning, epochs=2, verbose=0)
    assert (layer.dense.kernel.numpy() != before[0][0]).any()
    assert (layer.norm.moving_mean.numpy() != before[1]).any()
    expected = model.predict((images(), conditioning), verbose=0)
    with pytest.raises(ValueError, match="its conditioning is None: the flow was built with `conditioning_size`=3"):
        model.predict(images(), verbose=0)

    classes = {"WithConditioning": WithConditioning}
    model.save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match=r"keras\.saving\.register_keras_serializable"):
        keras.models.load_model(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", custom_objects=classes)
    np.testing.assert_array_equal(loaded.predict((images(), conditioning), verbose=0), expected)
    save_flow(model.distribution, tmp_path / "flow")
    flow = load_flow(tmp_path / "flow", custom_objects=classes)
    assert_equal(values(flow.trainable_variables), values(model.distribution.trainable_variables))


def test_a_file_says_which_import_it_needs(tmp_path, monkeypatch):
    save_flow(_on(Network(_conv_next())), tmp_path)
    monkeypatch.delitem(known_classes._ours, "tfp_realnvp.keras3.Network")
    with pytest.raises(ValueError, match=r"'tfp_realnvp\.keras3\.Network' is of Keras 3: `import tfp_realnvp\.keras3`"):
        load_flow(tmp_path)


def test_what_is_no_network_is_refused():
    with pytest.raises(ValueError, match="`layer` 'mine' is not built"):
        Network(keras.layers.Conv2D(2, 3, name="mine"))
    with pytest.raises(TypeError, match="must be a layer or model of Keras 3"):
        Network(lambda x: x)


@pytest.mark.parametrize("change", [{"class_name": "Lambda"}, {"module": "os", "class_name": "system"}])
def test_a_file_may_name_known_layers_alone(change):
    layer = keras.layers.Conv2D(2, 3, padding="same")
    layer.build([None, None, None, 1])
    with pytest.raises(ValueError, match="is not among those that are made from a file"):
        Network(keras.saving.serialize_keras_object(layer) | change)
