"""Mistakes with noise, latents and bounds are refused, by messages as `tests/mistakes.py` asks for."""

import re

import numpy as np
import pytest
import tensorflow as tf

import tfp_realnvp as nvp
from tests.mistakes import PIXELS, X, assert_refused

MISTAKES = {
    **{
        f"bits/dim of shape {shape}": (
            lambda _, shape=shape: nvp.bits_per_dim(-100.0, shape),
            ValueError,
            f"`event_shape`={re.escape(str(shape))}: must be",
            "ints of at least 1; take `distribution.event_shape`",
        )
        for shape in (64, (8, 0, 1), (8, -8, 1), (8, 8.0, 1), (), tf.TensorShape([None, 8, 1]))
    },
    "importance-weighted bits/dim of a number of pixels": (
        lambda _: nvp.importance_weighted_bits_per_dim([-100.0], 64),
        ValueError,
        "`event_shape`=64: must be",
        "ints of at least 1",
    ),
    "bits/dim of whole numbers": (
        lambda _: nvp.bits_per_dim(tf.constant([1, 2]), (8, 8, 1)),
        ValueError,
        "`log_prob` of dtype int32",
        "floating point, nats",
    ),
    # These are about noise.
    "dequantize to one level": (lambda _: nvp.dequantize(PIXELS, 1, seed=(0, 0)), ValueError, "`levels`=1", "int in"),
    "one number as a seed": (lambda _: nvp.dequantize(PIXELS, seed=7), ValueError, "`seed`=.*7", "two integers"),
    "no seed": (lambda _: nvp.dequantize(PIXELS, seed=None), ValueError, "`seed`", "two integers"),
    "fractions as a seed": (
        lambda _: nvp.dequantize(PIXELS, seed=(0.5, 1.0)),
        ValueError,
        "`seed`=.*0.5",
        "two integers",
    ),
    "dequantize text": (lambda _: nvp.dequantize(["a"], seed=(0, 0)), TypeError, "`images`.*string", "convert"),
    "quantize whole numbers": (lambda _: nvp.quantize(PIXELS), TypeError, "`pixels`.*uint8", "need no `quantize`"),
    "quantize to 1.5 levels": (lambda _: nvp.quantize(X, 1.5), ValueError, r"`levels`=1\.5", "int in"),
    "too many levels": (lambda _: nvp.quantize(X, 10**6), ValueError, "`levels`=1000000", r"int in \[2, 65536\]"),
    # These are about bounds.
    "one draw without its axis": (
        lambda _: nvp.importance_weighted_bits_per_dim(-90.0, (4, 4, 1)),
        ValueError,
        r"`log_prob` of dtype float32 and shape \(\)",
        r"\[M, \.\.\.\].*tf\.stack",
    ),
    "no draws": (
        lambda _: nvp.importance_weighted_bits_per_dim(np.zeros([0, 2]), (4, 4, 1)),
        ValueError,
        r"shape \(0, 2\)",
        "at least 1",
    ),
    # These are about latents.
    "latents of no scale": (lambda _: nvp.split_latents(X, 0), ValueError, "`num_scales`=0", "flow.num_scales"),
    "latents of another size": (
        lambda _: nvp.split_latents(X, 4),
        ValueError,
        r"`latents` of shape \(2, 4, 4, 1\)",
        "divisible.*= 8.*in place of 4",
    ),
    "latents of sizes known late": (
        lambda _: tf.function(lambda z: nvp.split_latents(z, 2), input_signature=[tf.TensorSpec([None] * 3 + [1])])(
            X[:, :3]
        ),
        tf.errors.InvalidArgumentError,
        "height and width must be even",
        "crop, pad or resize",
    ),
    "latents of rank 2": (lambda _: nvp.split_latents(X[0, 0], 1), ValueError, r"`latents`.*\(4, 1\)", "`tf.ensure"),
    "pixels as latents": (lambda _: nvp.split_latents(PIXELS, 2), TypeError, "`latents` has dtype uint8", "tf.cast"),
    "parts in a tensor": (lambda _: nvp.join_latents(X), TypeError, "`parts`=<tf.Tensor", "list or tuple"),
    "no parts": (lambda _: nvp.join_latents([]), TypeError, r"`parts`=\[\]", "list or tuple"),
    "parts in reverse": (
        lambda _: nvp.join_latents(nvp.split_latents(X, 3)[::-1]),
        ValueError,
        r"`parts\[1\]` of shape \(2, 1, 1, 4\)",
        r"must be \(2, 2, 2, 2\).*in order",
    ),
    "parts with odd channels": (
        lambda _: nvp.join_latents([X, X]),
        ValueError,
        r"`parts\[0\]` of shape \(2, 4, 4, 1\)",
        "even channels; pass all parts",
    ),
    "parts of two types": (
        lambda _: nvp.join_latents([tf.zeros([2, 2, 2], tf.float64), tf.zeros([2, 2, 2])]),
        TypeError,
        r"`parts\[0\]` has dtype float64",
        "float32.*`tf.cast`",
    ),
    "fraction of latents": (
        lambda _: nvp.resample_latents(X, 3, 0.3, seed=(0, 1)),
        ValueError,
        r"`kept`=0\.3",
        r"one of \[1\.0, 0\.5, 0\.25\]",
    ),
    "fraction below the top level": (
        lambda _: nvp.resample_latents(X, 2, 0.25, seed=(0, 1)),
        ValueError,
        r"`kept`=0\.25",
        r"one of \[1\.0, 0\.5\].*2 scales",
    ),
    "fraction in percent": (lambda _: nvp.resample_latents(X, 2, "50%", seed=(0, 1)), ValueError, "'50%'", "one of"),
    "negative temperature": (
        lambda _: nvp.resample_latents(X, 2, 0.5, seed=(0, 1), temperature=-1),
        ValueError,
        "`temperature`=-1",
        "0 or more",
    ),
    "one number as a seed for latents": (
        lambda _: nvp.resample_latents(X, 2, 0.5, seed=3),
        ValueError,
        "`seed`=.*3",
        "two integers",
    ),
    "three latents": (
        lambda _: nvp.manifold(tf.zeros([3, 4, 4, 1]), [0.0, 0.0]),
        ValueError,
        r"`latents` of shape \(3, 4, 4, 1\) and `angles` of shape \(2,\)",
        r"2\*\*k.*`tf\.stack`",
    ),
    "one angle without an axis": (lambda _: nvp.manifold(X, 0.0), ValueError, r"`angles` of shape \(\)", r"2\*\*k"),
    "angles for another batch": (
        lambda _: nvp.manifold(tf.zeros([4, 3, 4, 4, 1]), tf.zeros([8, 2])),
        ValueError,
        r"`angles` of leading shape \(8,\)",
        r"batch \(3,\); add axes",
    ),
    "steps for another batch": (
        lambda _: nvp.interpolate_on_sphere(X, X, [0.0, 0.5, 1.0]),
        ValueError,
        r"`t` of leading shape \(3,\)",
        r"batch \(2,\); add axes of size 1, e.g. \[T, 1\]",
    ),
    "ends of two sizes": (
        lambda _: nvp.interpolate_on_sphere(X, X[:, :2], 0.5),
        ValueError,
        r"`second` of shape \(2, 2, 4, 1\)",
        r"\(4, 4, 1\); crop",
    ),
    "ends of two types": (
        lambda _: nvp.interpolate_on_sphere(X, tf.cast(X, tf.float64), 0.5),
        TypeError,
        "`second` has dtype float64",
        "float32.*`tf.cast`",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_refused(name, tmp_path):
    assert_refused(name, MISTAKES[name], tmp_path)
