"""A description has every argument of a constructor, so that an argument that is added can't be lost in saving."""

import inspect

import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp
from tests import models
from tests.zoo import ZOO
from tfp_realnvp import FlowModel
from tfp_realnvp.saving import description, known_classes

tfb, tfd = tfp.bijectors, tfp.distributions

MASK = tfp_realnvp.ChannelHalves(1)
OPTIONS = tfp_realnvp.NetworkOptions(momentum=0.5)
NETWORK = tfp_realnvp.CouplingNetwork(MASK, 2, 3, 1, OPTIONS, name="conditioner")
OBJECTS = [
    MASK,
    OPTIONS,
    NETWORK,
    tfp_realnvp.Checkerboard(1),
    tfp_realnvp.ResidualNetwork(2, 4, 3, 1, OPTIONS, name="residual"),
    tfp_realnvp.AffineCoupling(MASK, NETWORK, gain=0.5, offset=True, name="coupling"),
    tfp_realnvp.ActNorm(2, name="norm"),
    tfp_realnvp.ChannelMixing(3, name="mixing"),
    tfp_realnvp.PlainNetwork(MASK, 2, 3, 1, conditioning_size=2, name="plain"),
    tfp_realnvp.ZeroNetwork(MASK, 2, conditioning_size=2, name="zero"),
    tfp_realnvp.GlowImage(1, num_scales=1, depth=2, width=3, levels=17, compute_dtype=tf.bfloat16),
    tfp_realnvp.FlowBatchNorm(2, MASK, epsilon=1e-3),
    tfp_realnvp.Squeeze(ordered=True),
    tfp_realnvp.FactorOut(tfb.Scale(2.0)),
    tfp_realnvp.PixelLogit(17, "paper", alpha=0.1),
    tfp_realnvp.RealNVPImage(1, num_scales=1, width=2, residual_blocks=0, momentum=0.5),
    ZOO["composition"].make("float32"),
]


def constructor_arguments(cls):
    """The names of the arguments; `parameters` is TFP's way to hand them to a base class."""
    return set(inspect.signature(cls.__init__).parameters) - {"self", "parameters"}


@pytest.mark.parametrize("value", OBJECTS, ids=lambda value: type(value).__name__)
def test_every_argument_is_described(value):
    described = description.describe(value)
    assert described.keys() - {"class"} == constructor_arguments(type(value))
    assert described["class"] == f"tfp_realnvp.{type(value).__name__}"
    again = description.build(described)
    assert type(again) is type(value)
    assert description.describe(again) == described


def test_every_class_that_is_known_is_tried():
    known = {name for name in known_classes._ours if "keras3" not in name}  # See tests/keras3/test_network.py.
    assert {f"tfp_realnvp.{type(value).__name__}" for value in OBJECTS} == known


def test_the_configuration_of_a_model_has_every_argument():
    model = FlowModel(models.normal(), levels=17, dequantize=False, l2=0.5, averaging=0.5, seed=3, name="another")
    config = model.get_config()
    assert config.keys() == constructor_arguments(FlowModel) | {"load_with", "versions", "frozen"}
    assert FlowModel.from_config(config).get_config() == config
    defaults = inspect.signature(FlowModel.__init__).parameters
    for name in constructor_arguments(FlowModel) - {"distribution"}:  # No value is a default: none is right by chance.
        assert config[name] != defaults[name].default


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (tfb.Chain([tfb.Scale(2.0)]), "tfb.Chain"),  # TFP makes objects of another class of some of them.
        (tfb.Chain([ZOO["composition"].make("float32")]), "tfb.Chain"),
        (tfd.Sample(tfd.Normal(0.0, 1.0), [2]), "tfd.Sample"),
        (tfd.TransformedDistribution(tfd.Normal(0.0, 1.0), ZOO["composition"].make("float32")), "tfd.Transformed"),
    ],
)
def test_classes_of_tfp_have_their_public_names(value, name):
    assert description.describe(value)["class"].startswith(name)
