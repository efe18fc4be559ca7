"""Mistakes with levels, and with `FlowModel.sample` and `log_prob`, are refused as `tests/mistakes.py` asks for."""

import re
import types

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp
from tests.mistakes import PIXELS, X, assert_refused, batches, real_nvp
from tests.models import flow, normal, on_prior
from tfp_realnvp.keywords import bijector_kwargs

tfb = tfp.bijectors
tfd = tfp.distributions

ONE_HOT = np.eye(3, dtype=np.float32)[np.arange(8) % 3]
MODEL = nvp.FlowModel(flow(num_scales=2))
CONDITIONAL = nvp.FlowModel(flow(conditioning_size=3))


def _own():
    """A flow whose conditioner is a function, which alone knows that it takes conditioning."""
    coupling = nvp.AffineCoupling(nvp.Checkerboard(), lambda x, conditioning: tf.concat([x, x], -1))
    return nvp.Composition([nvp.PixelLogit(), coupling], name="own")


def _conditional():
    return real_nvp(conditioning_size=3)


UNREACHED = {
    "an Invert": on_prior(tfb.Invert(_conditional())),
    "an Invert, of an own conditioner": on_prior(tfb.Invert(_own())),
    "a nested Chain": on_prior(tfb.Chain([tfb.Scale(2.0), tfb.Chain([_conditional(), tfb.Scale(1.1)])])),
    "a nested Chain beside another part": on_prior(
        tfb.Chain([nvp.PixelLogit(name="other"), tfb.Chain([_conditional(), tfb.Scale(1.1)])])
    ),
    "an Invert in a Composition": on_prior(nvp.Composition([tfb.Invert(_conditional())], name="parts")),
    "a distribution without bijector": tfd.Independent(flow(conditioning_size=3), 0),
    "another distribution": tfd.TransformedDistribution(flow(conditioning_size=3), tfb.Scale(1.0)),
}

MISTAKES = {
    "levels that are not the flow's": (
        lambda _: nvp.FlowModel(flow(levels=17), levels=256),
        ValueError,
        "`levels`=256: must be that of the distribution, whose 'pixel_logit' has `levels`=17",
        "leave `levels` out, or build the flow",
    ),
    "parts of other levels": (
        lambda _: nvp.FlowModel(
            on_prior(nvp.Composition([nvp.PixelLogit(17), tfb.Invert(nvp.PixelLogit(name="other"))], name="two"))
        ),
        ValueError,
        "`distribution` has `levels`=17 in 'pixel_logit' and `levels`=256 in 'other'",
        "build them with the same",
    ),
    "levels": (lambda _: nvp.FlowModel(normal(), levels=1), ValueError, "`levels`=1: must be", "e.g. 256 for 8 bits"),
    "no pictures": (lambda _: MODEL.sample(0), ValueError, "`n`=0: must be a Python int in", "number of pictures"),
    "pictures and a half": (lambda _: MODEL.sample(2.5), ValueError, r"`n`=2\.5: must be a Python int", "pictures"),
    "no temperature": (lambda _: MODEL.sample(2, temperature=0), ValueError, "`temperature`=0", "finite.*above 0"),
    "temperature": (lambda _: MODEL.sample(2, temperature=np.nan), ValueError, "`temperature`=nan", "above 0"),
    "temperature without latents": (
        lambda _: nvp.FlowModel(normal()).sample(2, temperature=0.5),
        ValueError,
        r"`temperature`=0\.5: must be 1",
        "`tfd.TransformedDistribution`.*leave `temperature` out",
    ),
    "whole": (lambda _: MODEL.sample(2, whole="no"), TypeError, "`whole`='no'", "Python bool"),
    "seed of three": (lambda _: MODEL.sample(2, seed=(1, 2, 3)), ValueError, r"`seed`=\(1, 2, 3\)", "or two ints"),
    "seed of 33 bits": (lambda _: MODEL.sample(2, seed=2**32), ValueError, "`seed`=4294967296", "of 32 bits"),
    "fractional seed": (lambda _: MODEL.log_prob(PIXELS, seed=0.5), ValueError, r"`seed`=0\.5", "an int or two ints"),
    "size by one number": (lambda _: MODEL.sample(2, size=8), ValueError, "`size`=8", r"\(height, width\), two ints"),
    "size that does not divide": (
        lambda _: MODEL.sample(2, size=(8, 7)),
        ValueError,
        r"`size`=\(8, 7\)",
        "multiples of the flow's `size_divisor`=2.*round",
    ),
    "size 0": (lambda _: MODEL.sample(2, size=(0, 8)), ValueError, r"`size`=\(0, 8\)", "from 2 on"),
    "size that is fixed": (
        lambda _: nvp.FlowModel(normal()).sample(2, size=(8, 8)),
        ValueError,
        r"`size`=\(8, 8\): must be \[4, 4\] or None",
        "other sizes want a bijector",
    ),
    **{
        f"too many values: {n} of {size}": (
            lambda _, n=n, size=size: MODEL.sample(n, size=size),
            ValueError,
            rf"`n`={n} and `size`={re.escape(str(size))}: must ask for less than 2\*\*31 values",
            "draw fewer pictures in each of several calls, or smaller ones",
        )
        for n, size in ((1, (2**40, 2)), (1, (2**31, 2**31)), (2**31 - 1, None), (2**15, (2**8, 2**8)))
    },
    "pictures without conditioning": (
        lambda _: CONDITIONAL.sample(2),
        ValueError,
        "`conditioning` is None: .*`conditioning_size`=3",
        r"pass `conditioning`, \[N, K\] or \[K\]",
    ),
    "pictures of fewer vectors": (
        lambda _: CONDITIONAL.sample(8, conditioning=ONE_HOT[:7]),
        ValueError,
        r"`conditioning` of shape \(7, 3\): must be \[8, 3\]",
        "the same for all",
    ),
    "pictures of labels": (
        lambda _: CONDITIONAL.sample(8, conditioning=np.arange(8)),
        ValueError,
        r"`conditioning` of shape \(8,\)",
        "one-hot vectors",
    ),
    "a label for each picture": (
        lambda _: CONDITIONAL.sample(3, conditioning=[0, 1, 2]),
        ValueError,
        r"`conditioning` of shape \(3,\) and dtype int32: must be of a float type",
        r"one vector for all as floats, and labels as one-hot vectors \[3, 3\]",
    ),
    "a label for each image": (
        lambda _: CONDITIONAL.log_prob(PIXELS[:3], conditioning=np.array([1, 0, 1])),
        ValueError,
        r"`conditioning` of shape \(3,\) and dtype int64",
        "labels as one-hot vectors",
    ),
    "densities of text": (
        lambda _: CONDITIONAL.log_prob(PIXELS, conditioning="cats"),
        TypeError,
        "`conditioning` of type str",
        "array of numbers.*one-hot",
    ),
    "conditioning that is not finite": (
        lambda _: CONDITIONAL.log_prob(PIXELS, conditioning=np.full([3], np.inf)),
        ValueError,
        "`conditioning` holds values that are not finite",
        "remove or repair",
    ),
    "conditioning of no use": (
        lambda _: MODEL.sample(8, conditioning=ONE_HOT),
        ValueError,
        r"`conditioning` of shape \(8, 3\)",
        "takes no conditioning",
    ),
    **{
        f"conditioning that does not reach a flow in {place}: {method}": (
            lambda _, distribution=distribution, call=call: call(nvp.FlowModel(distribution)),
            ValueError,
            r"`conditioning` of shape \(.*3\): does not reach '(real_nvp_image|own)'",
            "put the flow there itself, instead of into a `tfb.Invert`",
        )
        for place, distribution in UNREACHED.items()
        for method, call in {
            "sample": lambda model: model.sample(8, conditioning=ONE_HOT),
            "log_prob": lambda model: model.log_prob(PIXELS, conditioning=ONE_HOT),
        }.items()
    },
    "density of whole numbers": (
        lambda _: MODEL.log_prob(PIXELS.astype(np.float32)),
        ValueError,
        "`images` of dtype float32 holds whole numbers only",
        "give images an integer dtype.*`dequantize`",
    ),
    "density without noise": (
        lambda _: nvp.FlowModel(flow(), dequantize=False).log_prob(PIXELS),
        ValueError,
        "`images` of dtype uint8: must be of a float type",
        "`dequantize=False`; pass them through `dequantize`",
    ),
    "densities of a dataset": (
        lambda _: MODEL.log_prob(batches(PIXELS)),
        TypeError,
        "`images` is of type .*Dataset",
        "`predict` for a dataset",
    ),
    "density of pixels above the levels": (
        lambda _: MODEL.log_prob(PIXELS.astype(np.int32) + 200),
        ValueError,
        r"`images` holds values in \[\d+, \d+\]",
        "levels=256",
    ),
    "density of NaN": (
        lambda _: MODEL.log_prob(PIXELS * np.nan),
        ValueError,
        "`images` holds values that are not finite",
        "repair",
    ),
    "density of a dtype that TensorFlow does not know": (
        lambda _: MODEL.log_prob(types.SimpleNamespace(shape=(8, 4, 4, 1), dtype="odd")),
        TypeError,
        "`images` has dtype odd: must be an integer or float type of TensorFlow or NumPy",
        "convert it",
    ),
    "density of one image": (lambda _: MODEL.log_prob(PIXELS[0]), ValueError, r"`images` has shape \(4, 4, 1\)", "N"),
    "density of no image": (lambda _: MODEL.log_prob(X[:0]), ValueError, "`images` of shape .* is empty", "at least"),
}


@pytest.mark.parametrize(
    "distribution",
    [
        flow(conditioning_size=3).copy(bijector=_conditional()),
        flow(conditioning_size=3)[...],
        on_prior(tfb.Chain([_conditional(), tfb.Invert(nvp.PixelLogit(name="other")), tfb.Scale(1.1)])),
        on_prior(tfb.Chain([tfb.Scale(1.0), _own()])),
    ],
    ids=["copy", "index", "Chain with a part that takes none", "own conditioner in a Chain"],
)
def test_conditioning_that_reaches_the_flow_is_taken(distribution):
    keywords = bijector_kwargs(distribution, training=False, conditioning=ONE_HOT)
    assert keywords.get("conditioning", next(iter(keywords.values()))) is not None
    assert distribution.sample(8, seed=(1, 2), bijector_kwargs=keywords).shape == [8, 4, 4, 1]


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_refused(name, tmp_path):
    assert_refused(name, MISTAKES[name], tmp_path)
