"""A user's mistake is refused at once, by a message with the argument, its value, the rule and a remedy.

One table: who finds another mistake adds a line. Each callable gets an empty directory.
"""

import dataclasses
import pathlib
import re
import shutil

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from absl import flags
from absl.testing import flagsaver

import tfp_realnvp as nvp
from examples import config as config_lib
from examples import data as data_lib
from examples import train as program
from tests.models import compiled, flow, images, normal

tfb, tfd = tfp.bijectors, tfp.distributions

SMALL = {"channels": 1, "num_scales": 1, "width": 2, "residual_blocks": 0}
X = tf.fill([2, 4, 4, 1], 100.0)
PIXELS = images()
ONE_HOT = np.eye(3, dtype=np.float32)[np.arange(8) % 3]


def real_nvp(**options):
    return nvp.RealNVPImage(**SMALL | options)


def coupling(conditioner, **options):
    return nvp.AffineCoupling(nvp.Checkerboard(), conditioner, **options)


def twice(x):
    return tf.concat([x, x], -1)


def traced(bijector, spec):
    return tf.function(bijector.inverse, input_signature=[tf.TensorSpec(spec)])


def fit(*args, distribution=None, dequantize=True, **kwargs):
    compiled(distribution or normal(), dequantize=dequantize).fit(*args, verbose=0, **kwargs)


def batches(data, size=4):
    return tf.data.Dataset.from_tensor_slices(data).batch(size)


# The command's rows: a tiny config, so that no network of any size is built.

TINY = config_lib.Config(
    load=lambda sources: data_lib.ImageData(
        "tiny", "tiny", *3 * [data_lib.ArrayImages(PIXELS)], levels=256, splits=dict.fromkeys(SPLITS, "all")
    ),
    flow={"num_scales": 1, "width": 2, "residual_blocks": 0},
    steps=4,
    evaluations=2,
    batch_size=4,
)
SPLITS = ("train", "validation", "test")


def command(*arguments, config=None):
    """`python -m examples.train`, up to where training would begin; with a `Config` in place of that of the flags."""
    with flagsaver.flagsaver(), pytest.MonkeyPatch.context() as patch:
        if config is not None:
            patch.setattr(config_lib, "get", lambda name: config)
        flags.FLAGS(["train", *arguments])
        before = contents(flags.FLAGS.run_dir)
        try:
            return program.prepare()
        except Exception:
            assert contents(flags.FLAGS.run_dir) == before, "a refused command has written something"
            raise


def contents(directory):
    paths = [pathlib.Path(directory), *pathlib.Path(directory).rglob("*")]
    return {p: p.read_bytes() if p.is_file() else None for p in paths if p.exists()}


def tiny_run(tmp, *arguments, config=TINY):
    return command(f"--run_dir={tmp / 'run'}", *arguments, config=config)


def folder(tmp, *arguments):
    return command("--config=folder", f"--run_dir={tmp / 'run'}", *arguments)


def pictures(directory, count=3, size=32):
    pillow = pytest.importorskip("PIL.Image")
    directory.mkdir()
    for i in range(count):
        noise = np.random.RandomState(i).randint(0, 256, [size, size, 3]).astype(np.uint8)
        pillow.fromarray(noise).save(directory / f"{i}.png")
    return directory


def written(path, text=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def spoiled_folder(tmp):
    return written(pictures(tmp / "pictures") / "broken.png", "not a picture").parent


_saved = {}


def saved_run(tmp, steps=(0,)):
    """A run with checkpoints, made once and copied."""
    if steps not in _saved:
        _, opened = tiny_run(tmp)
        for step in steps:
            opened.model.optimizer.iterations.assign(step)
            opened.manager.save(checkpoint_number=step)
        _saved[steps] = {p.name: p.read_bytes() for p in opened.run.checkpoints.iterdir()}
        shutil.rmtree(opened.run.directory)
    checkpoints = tmp / "run" / "checkpoints"
    checkpoints.mkdir(parents=True)
    for name, content in _saved[steps].items():
        (checkpoints / name).write_bytes(content)
    return checkpoints


def resume_spoiled(tmp, name, spoil, steps=(0,)):
    """Resumes after `spoil` changed the bytes of a file of the newest checkpoint."""
    path = saved_run(tmp, steps) / name
    content = spoil(path.read_bytes())
    path.unlink() if content is None else path.write_bytes(content)
    tiny_run(tmp)


def resume_foreign(tmp):
    directory = str(tmp / "run" / "checkpoints")
    tf.train.CheckpointManager(tf.train.Checkpoint(v=tf.Variable(1.0)), directory, 1, checkpoint_name="step").save()
    tiny_run(tmp)


def resume_as(tmp, *arguments, **changes):
    saved_run(tmp)
    tiny_run(tmp, *arguments, config=dataclasses.replace(TINY, **changes))


def half_written_tfds(tmp):
    written(tmp / "tfds" / "cifar10" / "3.0.2.incomplete.XY_3.0.2" / "a")
    written(tmp / "tfds" / "cifar10" / "3.0.2" / "cifar10-train.tfrecord-00000-of-00001")
    command("--config=cifar10_small", f"--run_dir={tmp / 'run'}", f"--data_dir={tmp / 'tfds'}")


def garbled(content):
    return bytes(b ^ 0x5A for b in content)


FLOAT = "floating point|float type"

# Name: what the user does, the error, and what its message must say: argument and value first, a remedy last.
MISTAKES = {
    # What goes into a bijector or a distribution.
    "rank too low": (
        lambda _: real_nvp().inverse(X[0, 0]),
        ValueError,
        r"shape \(4, 1\)",
        r"must be \[\.\.\., H, W, C",
    ),
    "rank too low for a coupling": (lambda _: coupling(twice).forward(X[0, 0]), ValueError, r"\(4, 1\)", "H, W, C"),
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
    "odd height to squeeze": (lambda _: nvp.Squeeze()(X[:, :3]), ValueError, r"\[3, 4, 1\]", "even", "resize"),
    "squeezed channels": (lambda _: nvp.Squeeze().inverse(X), ValueError, r"\[4, 4, 1\]", "multiple of 4", "check"),
    "odd channels to factor out": (
        lambda _: nvp.FactorOut(tfb.Identity()).inverse(X),
        ValueError,
        r"shape \(2, 4, 4, 1\)",
        "must be even.*squeeze",
    ),
    "normed channels": (lambda _: nvp.FlowBatchNorm(2).inverse(X), ValueError, r"4, 1\)", "`channels`=2", "convert"),
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
    "uint8 logit": (lambda _: nvp.PixelLogit().inverse(PIXELS), TypeError, "`pixels`.*uint8", "`dequantize`"),
    "integer latents": (lambda _: real_nvp().forward(tf.ones([2, 4, 4, 1], tf.int32)), TypeError, "`x`.*int32", "cast"),
    "float64 log_prob": (
        lambda _: flow().log_prob(tf.cast(X, tf.float64)),
        TypeError,
        "`y` has dtype float64",
        "float32; use `tf.cast`.*dtype=tf.float64",
    ),
    "pixel above": (
        lambda _: nvp.PixelLogit(17, validate_args=True).inverse([17.0]),
        tf.errors.InvalidArgumentError,
        "levels=17",
        r"x: \[17",
        "`dequantize`",
    ),
    "pixel below": (
        lambda _: real_nvp(validate_args=True).inverse(-X),
        tf.errors.InvalidArgumentError,
        "levels=256",
        "-100",
        "`dequantize`",
    ),
    # Arguments of constructors.
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
    "text as channels": (lambda _: nvp.FlowBatchNorm("3"), ValueError, "`channels`='3'", "int of at least 1"),
    "no conditioning size": (
        lambda _: real_nvp(conditioning_size=0),
        ValueError,
        "`conditioning_size`=0",
        "or None|; None",
    ),
    "momentum of 1": (lambda _: real_nvp(momentum=1.0), ValueError, r"`momentum`=1\.0", r"in \[0, 1\)"),
    "negative momentum": (
        lambda _: nvp.FlowBatchNorm(1, momentum=-0.1),
        ValueError,
        r"`momentum`=-0\.1",
        r"in \[0, 1\)",
    ),
    "text as momentum": (lambda _: real_nvp(momentum="0.9"), ValueError, "`momentum`='0.9'", r"in \[0, 1\)"),
    "epsilon": (lambda _: nvp.FlowBatchNorm(1, epsilon=0.0), ValueError, r"`epsilon`=0\.0", "above 0, e.g. 1e-4"),
    "alpha": (lambda _: nvp.PixelLogit(alpha=0.5), ValueError, r"`alpha`=0\.5", r"in \(0, 0\.5\)"),
    "no alpha": (lambda _: nvp.PixelLogit(alpha=None), ValueError, "`alpha`=None", r"in \(0, 0\.5\)"),
    "one level": (lambda _: real_nvp(levels=1), ValueError, "`levels`=1", r"int in \[2, 65536\]"),
    "float levels": (lambda _: nvp.PixelLogit(256.0), ValueError, r"`levels`=256\.0", r"int in \[2, 65536\]"),
    "parity": (lambda _: nvp.Checkerboard(2), ValueError, "`parity`=2", "must be 0 or 1"),
    "parities": (lambda _: nvp.ChannelHalves(np.array([0, 1])), ValueError, "`parity`=array", "must be 0 or 1"),
    "text as a switch": (lambda _: real_nvp(batch_norm="no"), TypeError, "`batch_norm`='no'", "batch_norm=False"),
    "number as a switch": (lambda _: real_nvp(shift_first=1), TypeError, "`shift_first`=1", "shift_first=True"),
    "integer flow": (lambda _: real_nvp(dtype=tf.int32), TypeError, "`dtype`=tf.int32", FLOAT),
    "integer networks": (lambda _: real_nvp(compute_dtype="int8"), TypeError, "`compute_dtype`='int8'", FLOAT),
    "conditioner": (lambda _: coupling(3), TypeError, "`conditioner`=3", "must be callable"),
    "halves of one channel": (
        lambda _: nvp.CouplingNetwork(nvp.ChannelHalves(), 1, 2, 0),
        ValueError,
        "`channels`=1",
        "at least 2.*squeeze",
    ),
    "network without a mask": (lambda _: nvp.CouplingNetwork(None, 1, 2, 0), TypeError, "`mask`=None", "Checkerboard"),
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
    # What a conditioner answers with.
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
    # Call-time keywords.
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
        "`conditioning`=None",
        "`conditioning_size`=3.*bijector_kwargs",
    ),
    "conditioning of an unconditional flow": (
        lambda _: real_nvp().inverse(X, conditioning=tf.zeros([2, 3])),
        ValueError,
        r"`conditioning` of shape \(2, 3\)",
        "build it with `conditioning_size`, or leave it out",
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
    # Noise.
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
    # The Keras model.
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
        "takes no conditioning; pass images alone",
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
        "`x` comes with conditioning None",
        "`conditioning_size`=3; pass .* as `y`",
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
        "`x` comes with conditioning None",
        "Dataset",
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
        "`validation_data` comes with conditioning None",
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
    # Bounds and running statistics.
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
    # Latents.
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
    # The command: flags and data.
    "config": (
        lambda tmp: command("--config=digit", f"--run_dir={tmp / 'run'}"),
        ValueError,
        "`config`='digit'",
        "one of .*digits",
    ),
    "no steps": (lambda tmp: tiny_run(tmp, "--steps=0"), flags.IllegalFlagValueError, "--steps=0", "positive"),
    "negative steps": (lambda tmp: tiny_run(tmp, "--steps=-3"), flags.IllegalFlagValueError, "--steps=-3", "positive"),
    "steps of a config": (lambda _: dataclasses.replace(TINY, steps=0), ValueError, "`steps`=0", "at least 1"),
    "negative seed": (
        lambda tmp: tiny_run(tmp, "--seed=-1"),
        flags.IllegalFlagValueError,
        "--seed=-1",
        r"in the range",
    ),
    "missing data_dir": (
        lambda tmp: command("--config=cifar10", f"--run_dir={tmp / 'run'}", f"--data_dir={tmp / 'typo'}"),
        FileNotFoundError,
        "`data_dir`='.*typo'",
        "create it",
    ),
    "data to be fetched by hand": (
        lambda tmp: command("--config=imagenet32", f"--run_dir={tmp / 'run'}", f"--data_dir={tmp}"),
        FileNotFoundError,
        "train_32x32.tar",
        "downloads/manual",
    ),
    "nothing to condition on": (
        lambda tmp: command("--config=photo_patches", f"--run_dir={tmp / 'run'}", "--conditional"),
        ValueError,
        "`conditional`=True",
        "neither classes nor attributes",
    ),
    "unfinished data_dir": (half_written_tfds, ValueError, "`data_dir`.*cifar10", "unfinished or damaged", "delete"),
    "no folder": (folder, ValueError, "`folder`=None", "--folder=PATH"),
    "missing folder": (
        lambda tmp: folder(tmp, f"--folder={tmp / 'typo'}"),
        FileNotFoundError,
        "typo",
        "give a directory",
    ),
    "folder is a file": (
        lambda tmp: folder(tmp, f"--folder={written(tmp / 'a.png')}"),
        NotADirectoryError,
        r"a\.png",
        "give the directory",
    ),
    "empty folder": (
        lambda tmp: folder(tmp, f"--folder={pictures(tmp / 'pictures', 0)}"),
        ValueError,
        "pictures'",
        "holds 0.*at least 3.*add some",
    ),
    "broken picture": (
        lambda tmp: folder(tmp, f"--folder={spoiled_folder(tmp)}"),
        ValueError,
        r"picture '.*broken\.png'",
        "repair or remove",
    ),
    "small pictures": (
        lambda tmp: folder(tmp, f"--folder={pictures(tmp / 'pictures', size=20)}"),
        ValueError,
        r"picture '.*\.png': is 20x20",
        "`size`=32; remove it or lower `size`",
    ),
    "picture size 0": (
        lambda tmp: folder(tmp, "--image_size=0"),
        flags.IllegalFlagValueError,
        "--image_size=0",
        "positive",
    ),
    "picture size": (
        lambda tmp: folder(tmp, f"--folder={pictures(tmp / 'pictures')}", "--image_size=30"),
        ValueError,
        "30x30",
        "divisible.*= 4",
        "another --image_size, e.g. --image_size=28",
    ),
    "batch larger than the data": (
        lambda tmp: folder(tmp, f"--folder={pictures(tmp / 'pictures', 5)}"),
        ValueError,
        "`batch_size`=64",
        "3; add images",
    ),
    "no TPU": (lambda tmp: tiny_run(tmp, "--strategy=tpu", "--tpu=no"), ValueError, "`tpu`='no'", "another --strategy"),
    # The command: directory and checkpoints.
    "run_dir is a file": (
        lambda tmp: command(f"--run_dir={written(tmp / 'run.txt')}", config=TINY),
        NotADirectoryError,
        r"`run_dir`=.*run\.txt",
        "name a directory",
    ),
    "run_dir below a file": (
        lambda tmp: command(f"--run_dir={written(tmp / 'run.txt') / 'a' / 'b'}", config=TINY),
        NotADirectoryError,
        r"`run_dir`=.*run\.txt",
        "name a directory",
    ),
    "run_dir can't be written": (
        # Root may write wherever chmod says no, but not here.
        lambda _: command("--run_dir=/proc/self/run", config=TINY),
        PermissionError,
        "`run_dir`=/proc/self/run",
        "name a directory that can",
    ),
    "run_dir of others": (
        lambda tmp: command(f"--run_dir={written(tmp / 'photos' / 'a.txt').parent}", config=TINY),
        FileExistsError,
        "`run_dir`=.*photos",
        "name a new or empty directory",
    ),
    "truncated checkpoint": (
        lambda tmp: resume_spoiled(tmp, "step-0.data-00000-of-00001", lambda content: content[: len(content) // 2]),
        ValueError,
        "checkpoint .*step-0",
        "delete .*run",
    ),
    "garbled checkpoint": (
        lambda tmp: resume_spoiled(tmp, "step-0.data-00000-of-00001", garbled),
        ValueError,
        "checkpoint .*step-0",
        "delete .*run",
    ),
    "garbled index": (
        lambda tmp: resume_spoiled(tmp, "step-0.index", garbled),
        ValueError,
        "checkpoint .*step-0 can't be read",
        "delete .*run",
    ),
    "truncated index": (
        lambda tmp: resume_spoiled(tmp, "step-0.index", lambda content: content[:9]),
        ValueError,
        "checkpoint .*step-0 can't be read",
        "delete .*run",
    ),
    "newest of two checkpoints is damaged": (
        lambda tmp: resume_spoiled(tmp, "step-2.data-00000-of-00001", garbled, steps=(0, 2)),
        ValueError,
        "checkpoint .*step-2",
        "To go on from step-0, make it the model_checkpoint_path",
    ),
    "checkpoint is gone": (
        lambda tmp: resume_spoiled(tmp, "step-0.index", lambda content: None),
        ValueError,
        "checkpoint .*step-0 can't be read",
        "delete .*run",
    ),
    "list of checkpoints is gone": (
        lambda tmp: resume_spoiled(tmp, "checkpoint", lambda content: None),
        ValueError,
        "checkpoints/checkpoint is missing",
        'model_checkpoint_path: "step-0"',
    ),
    "list of checkpoints is garbled": (
        lambda tmp: resume_spoiled(tmp, "checkpoint", lambda content: b"\0\1\2"),
        ValueError,
        "checkpoints/checkpoint is missing or damaged",
        'model_checkpoint_path: "step-0"',
    ),
    "foreign checkpoint": (
        resume_foreign,
        ValueError,
        "checkpoint .*step-1 was not written by examples.train",
        "name another `run_dir`",
    ),
    "checkpoint of another seed": (
        lambda tmp: resume_as(tmp, "--seed=3"),
        ValueError,
        "another run .seed: 0 there, 3 now",
        "name another `run_dir`",
    ),
    "checkpoint of another flow": (
        lambda tmp: resume_as(tmp, flow={**TINY.flow, "width": 3}),
        ValueError,
        "another run .flow: .*'width': 2.*'width': 3",
        "name another `run_dir`",
    ),
    "checkpoint of another config": (
        lambda tmp: resume_as(tmp, "--config=cifar10"),
        ValueError,
        "config: 'digits' there, 'cifar10' now",
        "name another `run_dir`",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake(name, tmp_path):
    mistake, error, *says = MISTAKES[name]
    with pytest.raises(error) as caught:
        mistake(tmp_path)
    assert caught.type is error
    # Across lines: what TensorFlow's own checks at run time say after ours comes in several.
    message = re.sub(r"\s+", " ", str(caught.value))
    for pattern in says:
        assert re.search(pattern, message), f"{pattern!r} is not in: {message}"
    assert len(message) > 40
    if error is not tf.errors.InvalidArgumentError and name != "unknown rank":  # Those come with TensorFlow's trace.
        assert len(message) < 600, message
        assert not re.search(r"function_node|Traceback|in user code|TensorShape\(", message)
