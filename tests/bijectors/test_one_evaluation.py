"""Each network runs once for a log_prob, once for a sample, and once for both together."""

import collections
import functools

import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.convolutions import convolutions, expected_convolutions
from tfp_realnvp import AffineCoupling, Checkerboard, CouplingNetwork, RealNVPImage

tfb = tfp.bijectors
tfd = tfp.distributions

SHAPE = [4, 4, 1]
METHODS = {
    "log_prob": lambda images: images.log_prob(tf.ones([2, *SHAPE])),
    "sample": lambda images: images.sample(2, seed=(1, 2)),
    "sample_and_log_prob": lambda images: images.experimental_sample_and_log_prob(2, seed=(1, 2)),
}

methods = pytest.mark.parametrize("method", METHODS)


def image_flow():
    return RealNVPImage(1, num_scales=2, width=2, residual_blocks=1)


def chain():
    masks = [Checkerboard(i % 2) for i in range(3)]
    return tfb.Chain([AffineCoupling(m, CouplingNetwork(m, 1, width=2, residual_blocks=1)) for m in masks])


def distribution(bijector):
    return tfd.TransformedDistribution(tfd.Sample(tfd.Normal(0.0, 1.0), sample_shape=SHAPE), bijector)


@methods
@pytest.mark.parametrize("make", [image_flow, chain])
@pytest.mark.parametrize("traced", [False, True])
def test_each_network_is_called_once(make, traced, method, monkeypatch):
    images = distribution(make())
    calls = collections.Counter()
    original = CouplingNetwork.__call__

    def counted(self, *args, **kwargs):
        calls[self] += 1
        return original(self, *args, **kwargs)

    monkeypatch.setattr(CouplingNetwork, "__call__", counted)
    if traced:
        tf.function(lambda: METHODS[method](images)).get_concrete_function()
    else:
        METHODS[method](images)
    networks = [m for m in images.submodules if isinstance(m, CouplingNetwork)]
    assert len(networks) == {image_flow: 10, chain: 3}[make]
    assert calls == collections.Counter(networks)


@methods
@pytest.mark.parametrize("make", [image_flow, chain])
def test_each_convolution_is_in_the_graph_once(make, method):
    images = distribution(make())
    traced = tf.function(lambda: METHODS[method](images)).get_concrete_function()
    assert convolutions(traced) == expected_convolutions(images)


def test_each_convolution_is_in_a_saved_model_once(tmp_path):
    images = distribution(image_flow())
    module = tf.Module()
    module.images = images
    for name, method in METHODS.items():
        setattr(module, name, tf.function(functools.partial(method, images), input_signature=[]))
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    for name in METHODS:
        assert convolutions(getattr(loaded, name).concrete_functions[0]) == expected_convolutions(images)
