"""Mistakes with `RealNVPImage` are refused, by messages as `tests/mistakes.py` asks for."""

import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp
from tests.mistakes import PIXELS, X, assert_refused, real_nvp
from tests.models import flow

tfd = tfp.distributions

FLOAT = "floating point|float type"


def traced(bijector, spec):
    return tf.function(bijector.inverse, input_signature=[tf.TensorSpec(spec)])


MISTAKES = {
    # These are about what goes into a flow.
    "keyword of log_prob": (
        lambda _: flow().log_prob(X, bijector_kwargs={"trainin": True}),
        TypeError,
        "`trainin`: no keyword of 'real_nvp_image'",
        "`training` and `conditioning`",
    ),
    "networks in a wider type": (
        lambda _: real_nvp(compute_dtype=tf.float64),
        ValueError,
        "`compute_dtype`=float64: must be no wider than `dtype`=float32",
        "leave it out, or build",
    ),
    "rank too low": (
        lambda _: real_nvp().inverse(X[0, 0]),
        ValueError,
        r"shape \(4, 1\)",
        r"must be \[\.\.\., H, W, C",
    ),
    "unknown rank": (lambda _: traced(real_nvp(), None)(X), ValueError, "shape <unknown>", "`tf.ensure_shape`"),
    "channels": (lambda _: real_nvp().inverse(tf.zeros([2, 4, 4, 3])), ValueError, "4, 3", "`channels`=1", "convert"),
    "channels of the prior": (
        lambda _: nvp.FlowModel(tfd.TransformedDistribution(tfd.Sample(tfd.Normal(0.0, 1.0), [4, 4, 3]), real_nvp())),
        ValueError,
        r"event of shape \(4, 4, 3\)",
        "`channels`=1.*build the flow",
    ),
    "sizes": (lambda _: real_nvp(num_scales=2).inverse(X[:, :3]), ValueError, "3, 4, 1", r"divisible.*= 2", "resize"),
    "sizes known late": (
        lambda _: traced(real_nvp(num_scales=2, validate_args=True), [None, None, None, 1])(X[:, :3]),
        tf.errors.InvalidArgumentError,
        "height and width must be even",
        "crop, pad or resize",
    ),
    "sizes of the prior": (
        lambda _: nvp.FlowModel(
            tfd.TransformedDistribution(tfd.Sample(tfd.Normal(0.0, 1.0), [6, 6, 1]), real_nvp(num_scales=3))
        ),
        ValueError,
        r"event of shape \(6, 6, 1\)",
        "divisible.*= 4",
        "lower `num_scales`=3",
    ),
    "uint8 log_prob": (
        lambda _: flow().log_prob(tf.constant(PIXELS)),
        TypeError,
        "`y` has dtype uint8",
        "must be floating point.*`dequantize`",
    ),
    "uint8 tensor": (lambda _: real_nvp().inverse(tf.constant(PIXELS)), TypeError, "`y`.*uint8", "`dequantize`"),
    "uint8 array": (lambda _: real_nvp().inverse(PIXELS), TypeError, "`y`.*uint8", "`dequantize`"),
    "uint8 for the log det": (
        lambda _: real_nvp().inverse_log_det_jacobian(PIXELS, 3),
        TypeError,
        "`y`.*uint8",
        "`dequantize`",
    ),
    "integer latents": (lambda _: real_nvp().forward(tf.ones([2, 4, 4, 1], tf.int32)), TypeError, "`x`.*int32", "cast"),
    "float64 log_prob": (
        lambda _: flow().log_prob(tf.cast(X, tf.float64)),
        TypeError,
        "`y` has dtype float64",
        "float32; use `tf.cast`.*dtype=tf.float64",
    ),
    "pixel below": (
        lambda _: real_nvp(validate_args=True).inverse(-X),
        tf.errors.InvalidArgumentError,
        "levels=256",
        "-100",
        "`dequantize`",
    ),
    # These are about arguments of the constructor.
    "recompute_gradients": (
        lambda _: real_nvp(recompute_gradients="no"),
        TypeError,
        "`recompute_gradients`='no'",
        "bool",
    ),
    "preset": (lambda _: real_nvp(preset="glow"), ValueError, "`preset`='glow'", "'paper', 'released'"),
    "squash": (lambda _: real_nvp(squash="tanh"), ValueError, "`squash`='tanh'", "'paper', 'released'"),
    "no scale": (lambda _: real_nvp(num_scales=0), ValueError, "`num_scales`=0", "int of at least 1"),
    "negative scales": (lambda _: real_nvp(num_scales=-2), ValueError, "`num_scales`=-2", "int of at least 1"),
    "true scales": (lambda _: real_nvp(num_scales=True), ValueError, "`num_scales`=True", "int of at least 1"),
    "broken scales": (lambda _: real_nvp(num_scales=1.5), ValueError, r"`num_scales`=1\.5", "int of at least 1"),
    "no width": (lambda _: real_nvp(width=0), ValueError, "`width`=0", "int of at least 1"),
    "float width": (lambda _: real_nvp(width=2.0), ValueError, r"`width`=2\.0", "int of at least 1"),
    "negative blocks": (
        lambda _: real_nvp(residual_blocks=-1),
        ValueError,
        "`residual_blocks`=-1",
        "int of at least 0",
    ),
    "true blocks": (lambda _: real_nvp(residual_blocks=True), ValueError, "`residual_blocks`=True", "at least 0"),
    "no channels": (lambda _: real_nvp(channels=0), ValueError, "`channels`=0", "int of at least 1"),
    "true channels": (lambda _: real_nvp(channels=True), ValueError, "`channels`=True", "int of at least 1"),
    "no conditioning size": (
        lambda _: real_nvp(conditioning_size=0),
        ValueError,
        "`conditioning_size`=0",
        "or None|; None",
    ),
    "momentum of 1": (lambda _: real_nvp(momentum=1.0), ValueError, r"`momentum`=1\.0", r"in \[0, 1\)"),
    "text as momentum": (lambda _: real_nvp(momentum="0.9"), ValueError, "`momentum`='0.9'", r"in \[0, 1\)"),
    "one level": (lambda _: real_nvp(levels=1), ValueError, "`levels`=1", r"int in \[2, 65536\]"),
    "text as a switch": (lambda _: real_nvp(batch_norm="no"), TypeError, "`batch_norm`='no'", "batch_norm=False"),
    "number as a switch": (lambda _: real_nvp(shift_first=1), TypeError, "`shift_first`=1", "shift_first=True"),
    "integer flow": (lambda _: real_nvp(dtype=tf.int32), TypeError, "`dtype`=tf.int32", FLOAT),
    "integer networks": (lambda _: real_nvp(compute_dtype="int8"), TypeError, "`compute_dtype`='int8'", FLOAT),
    # These are about keywords of calls.
    "training as text": (lambda _: real_nvp().inverse(X, training="yes"), TypeError, "`training`='yes'", "Python bool"),
    "training as a tensor": (
        lambda _: flow().log_prob(X, bijector_kwargs={"training": tf.constant(True)}),
        TypeError,
        "`training`=<tf.Tensor",
        "Python bool",
    ),
    "conditioning is missing": (
        lambda _: real_nvp(conditioning_size=3).inverse(X),
        ValueError,
        "`conditioning` is None",
        "`conditioning_size`=3.*bijector_kwargs",
    ),
    "conditioning of an unconditional flow": (
        lambda _: real_nvp().inverse(X, conditioning=tf.zeros([2, 3])),
        ValueError,
        r"`conditioning` of shape \(2, 3\)",
        "leave it out, or build the flow with `conditioning_size`",
    ),
    "conditioning of another length": (
        lambda _: real_nvp(conditioning_size=3).inverse(X, conditioning=tf.zeros([2, 4])),
        ValueError,
        r"`conditioning` of shape \(2, 4\)",
        r"\[\.\.\., 3\].*one-hot",
    ),
    "classes as numbers": (
        lambda _: real_nvp(conditioning_size=3).inverse(X, conditioning=tf.constant([1, 2])),
        ValueError,
        r"`conditioning` of shape \(2,",
        "one-hot",
    ),
    "conditioning of another batch": (
        lambda _: real_nvp(conditioning_size=3).inverse(X, conditioning=tf.zeros([5, 3])),
        ValueError,
        r"`conditioning` of shape \(5, 3\)",
        r"broadcast.*\(2,\); give one row an image",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_refused(name, tmp_path):
    assert_refused(name, MISTAKES[name], tmp_path)
