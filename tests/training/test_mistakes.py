"""Mistakes with `FlowModel` and `recalibrate` are refused, by messages as `tests/mistakes.py` asks for."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp
from tests.mistakes import PIXELS, X, assert_refused, batches, real_nvp
from tests.models import compiled, flow, normal

tfb, tfd = tfp.bijectors, tfp.distributions

ONE_HOT = np.eye(3, dtype=np.float32)[np.arange(8) % 3]


def fit(*args, distribution=None, dequantize=True, **kwargs):
    compiled(distribution or normal(), dequantize=dequantize).fit(*args, verbose=0, **kwargs)


MISTAKES = {
    # These are about the Keras model.
    "no distribution": (lambda _: nvp.FlowModel(real_nvp()), TypeError, "`distribution`=<", "TransformedDistribution"),
    "event of rank 2": (
        lambda _: nvp.FlowModel(tfd.Sample(tfd.Normal(0.0, 1.0), [4, 4])),
        ValueError,
        r"`distribution` has event shape \(4, 4\)",
        "static.*give the base distribution",
    ),
    "several distributions": (
        lambda _: nvp.FlowModel(tfd.Sample(tfd.Normal(tf.zeros([5]), 1.0), [4, 4, 1])),
        ValueError,
        r"`distribution` has batch shape \(5,\)",
        "tfd.Independent",
    ),
    "averaging": (lambda _: nvp.FlowModel(normal(), averaging=1.5), ValueError, r"`averaging`=1\.5", r"in \(0, 1\)"),
    "negative l2": (lambda _: nvp.FlowModel(normal(), l2=-1e-5), ValueError, "`l2`=-1e-05", "0 or more"),
    "l2 is not a number": (lambda _: nvp.FlowModel(normal(), l2=np.nan), ValueError, "`l2`=nan", "0 or more"),
    "seed of a model": (lambda _: nvp.FlowModel(normal(), seed=0.5), ValueError, r"`seed`=0\.5", "int of at least 0"),
    "another loss": (lambda _: nvp.FlowModel(normal()).compile(loss="mse"), ValueError, "`loss`='mse'", "leave `loss`"),
    "one image": (lambda _: fit(PIXELS[0]), ValueError, r"`x` has shape \(4, 4, 1\)", r"\[N, H, W, C\].*batch"),
    "images of another size": (lambda _: fit(np.zeros([2, 8, 8, 1])), ValueError, r"`x`.*\(2, 8, 8, 1\)", "resize"),
    "images of other channels": (lambda _: fit(np.zeros([2, 4, 4, 3])), ValueError, r"`x`.*\(2, 4, 4, 3\)", "build"),
    "images as text": (lambda _: fit(np.full([2, 4, 4, 1], "a")), TypeError, "`x` has dtype string", "convert"),
    "images as truth values": (lambda _: fit(PIXELS > 9), TypeError, "`x` has dtype bool", "convert"),
    "a path as images": (lambda _: fit("images.npy"), TypeError, "`x` is of type str", "array or tensor"),
    "a list of images": (lambda _: fit(list(PIXELS)), TypeError, "`x` is of type list", "`np.stack`"),
    "no images": (lambda _: compiled(normal()).evaluate(), TypeError, "`x` is of type NoneType", "array or tensor"),
    "scaled images": (lambda _: fit(PIXELS / 255), ValueError, r"`x` holds fractions in \[0\.", "Undo a scaling"),
    "centred images": (
        lambda _: fit(PIXELS.astype(int) - 128),
        ValueError,
        r"`x`.*\[-1",
        r"levels=256.*scaled or centred",
    ),
    "negative pixels": (
        lambda _: fit(-1.0 * PIXELS),
        ValueError,
        r"`x` holds values in \[-2",
        "levels=256",
        "Set `levels`",
    ),
    "pixels above the levels": (
        lambda _: nvp.FlowModel(normal(), levels=17).predict(PIXELS),
        ValueError,
        r"`x` holds values in \[\d+, 2\d\d\]",
        "levels=17",
        "Set `levels`",
    ),
    "NaN": (lambda _: fit(np.where(PIXELS > 99, np.nan, 1.0)), ValueError, "`x`.*not finite", "remove or repair"),
    "empty array": (lambda _: fit(PIXELS[:0]), ValueError, r"`x` of shape \(0, 4, 4, 1\) is empty", "at least one"),
    "empty dataset": (lambda _: fit(batches(PIXELS[:0])), ValueError, "`x` is an empty dataset", "at least one"),
    "unbatched dataset": (
        lambda _: fit(tf.data.Dataset.from_tensor_slices(PIXELS)),
        ValueError,
        r"`x` has shape \(4, 4, 1\)",
        "batch a dataset",
    ),
    "dataset of dictionaries": (
        lambda _: fit(batches({"image": PIXELS})),
        TypeError,
        "`x`.*'image'",
        "map the dataset",
    ),
    "conditioning of a plain distribution": (
        lambda _: fit(PIXELS, ONE_HOT),
        ValueError,
        r"`x`.*conditioning.*\(8, 3\)",
        r"takes no conditioning \(or labels\); leave it out",
    ),
    "conditioning of a plain flow": (
        lambda _: fit(batches((PIXELS, ONE_HOT)), distribution=flow()),
        ValueError,
        r"`x`.*\(None, 3\)",
        "`conditioning_size`",
    ),
    "conditional flow without conditioning": (
        lambda _: fit(PIXELS, distribution=flow(conditioning_size=3)),
        ValueError,
        "`x`: its conditioning is None",
        r"`conditioning_size`=3.*pass it by .*`fit\(x, c\)`",
    ),
    "conditional flow with other conditioning": (
        lambda _: fit(PIXELS, ONE_HOT[:, :2], distribution=flow(conditioning_size=3)),
        ValueError,
        r"`x`.*\(8, 2\)",
        r"must be \[N, 3\].*one-hot",
    ),
    "prediction without conditioning": (
        lambda _: compiled(flow(conditioning_size=3)).predict(PIXELS),
        ValueError,
        "`x`: its conditioning is None.*`conditioning_size`=3",
        r"pass conditioning in a pair, `predict\(\(x, c\)\)`, or a `tf.data.Dataset` of pairs",
    ),
    "prediction with conditioning as fit takes it": (
        lambda _: compiled(flow(conditioning_size=3)).predict(PIXELS, ONE_HOT),
        TypeError,
        "`batch_size` is of type ndarray: must be an int",
        r"if it is conditioning, pass .*`predict\(\(x, c\)\)`",
    ),
    "prediction of a list": (
        lambda _: compiled(flow(conditioning_size=3)).predict([PIXELS, ONE_HOT]),
        TypeError,
        "`x` is of type list",
        r"`predict\(\(x, c\)\)`",
    ),
    "validation images": (
        lambda _: fit(PIXELS, validation_data=(PIXELS[:, :2],)),
        ValueError,
        r"`validation_data` has shape \(8, 2, 4, 1\)",
        "resize",
    ),
    "validation share": (lambda _: fit(PIXELS, validation_data=0.1), TypeError, "`validation_data`.*float", "array"),
    "validation without conditioning": (
        lambda _: fit(PIXELS, ONE_HOT, validation_data=PIXELS, distribution=flow(conditioning_size=3)),
        ValueError,
        "`validation_data`: its conditioning is None",
        "`conditioning_size`=3",
    ),
    "prediction with a pair of other lengths": (
        lambda _: compiled(flow(conditioning_size=3)).predict((PIXELS, ONE_HOT[:, :2])),
        ValueError,
        r"`x`.*\(8, 2\)",
        r"must be \[N, 3\].*one-hot",
    ),
    "a negative draw": (
        lambda _: compiled(normal()).predict(PIXELS, draw=-1),
        ValueError,
        "`draw`=-1",
        r"int in \[0, 2147483647\]",
    ),
    "a draw of no noise": (
        lambda _: compiled(normal(), dequantize=False).predict(PIXELS, draw=1),
        ValueError,
        r"`draw`=1: must be a Python int in \[0, 0\]",
        "0 for `dequantize=False`",
    ),
    # These are about running statistics.
    "recalibrate a model": (
        lambda _: nvp.recalibrate(nvp.FlowModel(flow()), [X]),
        TypeError,
        "`distribution`=<",
        r"pass `model\.distribution`",
    ),
    "recalibrate without statistics": (
        lambda _: nvp.recalibrate(normal(), [X]),
        ValueError,
        "`distribution`=tfp",
        "must hold `RunningStatistics`.*leave the call out",
    ),
    "recalibrate what log_prob does not reach": (
        lambda _: nvp.recalibrate(tfd.TransformedDistribution(flow(), tfb.Identity()), [X]),
        ValueError,
        "`distribution`=tfp",
        "reaches none.*tfb.Chain",
    ),
    "recalibrate by no batches": (lambda _: nvp.recalibrate(flow(), []), ValueError, "`batches` is empty", "at least"),
    "recalibrate by whole numbers": (
        lambda _: nvp.recalibrate(flow(), [PIXELS]),
        TypeError,
        "`batches` has dtype uint8",
        "`dequantize`",
    ),
    "recalibrate by one batch": (
        lambda _: nvp.recalibrate(flow(), X),
        ValueError,
        r"`batches`.*\(4, 4, 1\)",
        r"\[N, H, W, C\].*into a list",
    ),
    "recalibrate by dictionaries": (
        lambda _: nvp.training_mode_bits_per_dim(flow(), batches({"image": PIXELS / 1.0})),
        TypeError,
        "`batches` holds an element of type dict",
        "map a dataset",
    ),
    "recalibrate within tf.function": (
        lambda _: tf.function(nvp.recalibrate, autograph=False)(flow(), [X]),
        RuntimeError,
        "outside of `tf.function`",
        "replicas",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_refused(name, tmp_path):
    assert_refused(name, MISTAKES[name], tmp_path)
