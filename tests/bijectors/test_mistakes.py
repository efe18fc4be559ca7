"""Mistakes with single bijectors are refused, by messages as `tests/mistakes.py` asks for."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp
from tests.mistakes import PIXELS, X, assert_refused

tfb = tfp.bijectors
tfd = tfp.distributions

EVENT_SHAPE = tf.function(
    nvp.Squeeze(validate_args=True).forward_event_shape_tensor, input_signature=[tf.TensorSpec([None], tf.int32)]
)


def coupling(conditioner, **options):
    return nvp.AffineCoupling(nvp.Checkerboard(), conditioner, **options)


def twice(x):
    return tf.concat([x, x], -1)


METHODS = {
    "forward": {},
    "inverse": {},
    "forward_log_det_jacobian": {"event_ndims": 3},
    "inverse_log_det_jacobian": {"event_ndims": 3},
    "__call__": {},
}
MISTAKES = {
    **{
        f"keyword of {method}": (
            lambda _, method=method, ndims=ndims: getattr(coupling(twice, name="mine"), method)(
                X, **ndims, trainin=True
            ),
            TypeError,
            "`trainin`: no keyword of 'mine'",
            "it takes `training` and `conditioning`",
        )
        for method, ndims in METHODS.items()
    },
    "rank too low for a coupling": (lambda _: coupling(twice).forward(X[0, 0]), ValueError, r"\(4, 1\)", "H, W, C"),
    "shift of all channels alone": (
        lambda _: nvp.AffineCoupling(nvp.ChannelHalves(), tf.identity)(tf.ones([2, 4, 4, 2])),
        ValueError,
        r"`conditioner` answered with shape \(2, 4, 4, 2\)",
        "its last axis must be 4 \\(shift, then log-scale\\)",
    ),
    "mixing in bfloat16": (
        lambda _: nvp.ChannelMixing(4, dtype=tf.bfloat16),
        TypeError,
        "`dtype`=tf.bfloat16",
        "tf.float32 or tf.float64",
        "networks may compute in a narrower type",
    ),
    "odd height to squeeze": (lambda _: nvp.Squeeze()(X[:, :3]), ValueError, r"\(2, 3, 4, 1\)", "even", "resize"),
    "squeezed channels": (lambda _: nvp.Squeeze().inverse(X), ValueError, r"\(2, 4, 4, 1\)", "multiple of 4", "check"),
    "odd event to squeeze": (
        lambda _: nvp.Squeeze().forward_event_shape([3, 4, 1]),
        ValueError,
        r"squeeze: event of shape \(3, 4, 1\)",
        "must be even.*resize",
    ),
    "event of 3 channels to unsqueeze": (
        lambda _: nvp.Squeeze().inverse_event_shape_tensor([2, 2, 3]),
        ValueError,
        r"squeeze: event of shape \(2, 2, 3\)",
        "multiple of 4.*check",
    ),
    "odd event known late": (
        lambda _: EVENT_SHAPE(tf.constant([3, 4, 1])),
        tf.errors.InvalidArgumentError,
        "height and width must be even.*resize",
    ),
    "flat event to squeeze": (
        lambda _: tfd.TransformedDistribution(tfd.Sample(tfd.Normal(0.0, 1.0), [4, 4]), nvp.Squeeze()).event_shape,
        ValueError,
        r"squeeze: event of shape \(4, 4\)",
        r"\[\.\.\., H, W, C\].*tfd.Sample",
    ),
    "flat event": (
        lambda _: nvp.FlowBatchNorm(4).forward_event_shape([4, 4]),
        ValueError,
        r"batch_norm: event of shape \(4, 4\)",
        r"\[\.\.\., H, W, C\].*tfd.Sample",
    ),
    "odd channels of an event to factor out": (
        lambda _: nvp.FactorOut(tfb.Identity()).inverse_event_shape([7, 4, 4, 3]),
        ValueError,
        r"factor_out: event of shape \(7, 4, 4, 3\)",
        "must be even.*squeeze",
    ),
    "one bijector of many": (
        lambda _: nvp.FlowBatchNorm(1)[0],
        ValueError,
        "`slices`=0",
        "one bijector of batch shape.*index the images",
    ),
    "odd channels to factor out": (
        lambda _: nvp.FactorOut(tfb.Identity()).inverse(X),
        ValueError,
        r"shape \(2, 4, 4, 1\)",
        "must be even.*squeeze",
    ),
    "normed channels": (lambda _: nvp.FlowBatchNorm(2).inverse(X), ValueError, r"4, 1\)", "`channels`=2", "convert"),
    "uint8 logit": (lambda _: nvp.PixelLogit().inverse(PIXELS), TypeError, "`pixels`.*uint8", "`dequantize`"),
    "pixel above": (
        lambda _: nvp.PixelLogit(17, validate_args=True).inverse([17.0]),
        tf.errors.InvalidArgumentError,
        "levels=17",
        r"x: \[17",
        "`dequantize`",
    ),
    "text as channels": (lambda _: nvp.FlowBatchNorm("3"), ValueError, "`channels`='3'", "int of at least 1"),
    "negative momentum": (
        lambda _: nvp.FlowBatchNorm(1, momentum=-0.1),
        ValueError,
        r"`momentum`=-0\.1",
        r"in \[0, 1\)",
    ),
    "epsilon": (lambda _: nvp.FlowBatchNorm(1, epsilon=0.0), ValueError, r"`epsilon`=0\.0", "above 0, e.g. 1e-4"),
    "alpha": (lambda _: nvp.PixelLogit(alpha=0.5), ValueError, r"`alpha`=0\.5", r"in \(0, 0\.5\)"),
    "no alpha": (lambda _: nvp.PixelLogit(alpha=None), ValueError, "`alpha`=None", r"in \(0, 0\.5\)"),
    "float levels": (lambda _: nvp.PixelLogit(256.0), ValueError, r"`levels`=256\.0", r"int in \[2, 65536\]"),
    "parity": (lambda _: nvp.Checkerboard(2), ValueError, "`parity`=2", "must be 0 or 1"),
    "parities": (lambda _: nvp.ChannelHalves(np.array([0, 1])), ValueError, "`parity`=array", "must be 0 or 1"),
    "conditioner": (lambda _: coupling(3), TypeError, "`conditioner`=3", "must be callable"),
    "mask is a class": (
        lambda _: nvp.AffineCoupling(nvp.Checkerboard, twice),
        TypeError,
        "`mask`=<class.*Checkerboard",
        r"pass an instance, Checkerboard\(\)",
    ),
    "mask of halves": (
        lambda _: nvp.FlowBatchNorm(1, 0.5),
        ValueError,
        "`mask` holds values like 0.5",
        "zeros and ones",
    ),
    "mask of another size": (
        lambda _: nvp.AffineCoupling(np.ones([3, 3, 1]), twice).inverse(X),
        ValueError,
        r"`mask` has shape \(3, 3, 1\)",
        r"\(4, 4, 1\).*give a callable",
    ),
    "nothing to factor out to": (lambda _: nvp.FactorOut(None), TypeError, "`bijector`=None", "must be a tfb.Bijector"),
    "parts": (lambda _: nvp.Composition([3], name="parts"), TypeError, r"`parts`=\[3\]", "list of tfb.Bijectors"),
    "conditioner's channels": (
        lambda _: coupling(tf.identity).inverse(X),
        ValueError,
        r"`conditioner` answered with shape \(2, 4, 4, 1\)",
        "last axis must be 2",
    ),
    "additive conditioner's channels": (
        lambda _: coupling(twice, additive=True).inverse(X),
        ValueError,
        r"`conditioner`.*\(2, 4, 4, 2\)",
        r"last axis must be 1 \(shift\)",
    ),
    "conditioner that shrinks": (
        lambda _: coupling(lambda x: twice(x)[:, :2]).inverse(X),
        ValueError,
        r"`conditioner`.*\(2, 2, 4, 2\)",
        "keep all axes",
    ),
    "conditioner of a pair": (
        lambda _: coupling(lambda x: (x, x)).inverse(X),
        TypeError,
        "`conditioner` answered with tuple",
        "concatenate",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_refused(name, tmp_path):
    assert_refused(name, MISTAKES[name], tmp_path)
