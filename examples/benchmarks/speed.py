"""How fast a config's network trains, evaluates and samples, compared with its convolutions alone and `tfb.Glow`."""

import dataclasses
import functools

import numpy as np
import tensorflow as tf

from examples import config as config_lib
from examples.benchmarks import turns
from examples.benchmarks.convolutions import bare, convolutions, gigamultiplications
from examples.benchmarks.glow import glow_model
from examples.data import ArrayImages, ImageData
from examples.models import build_model, form_of

_ANY_SHAPE = (32, 32, 3)  # for a config whose data may have any shape
PHASES = ("train", "log_prob", "sample")


def open_model(name, dtype, count):
    """Returns the compiled model of a config, and an `ImageData` of noise in place of the config's data.

    Args:
      name: str, name of the config.
      dtype: str, type of the convolutions, e.g. "float32".
      count: int, number of images, and the batch size.
    """
    config = config_lib.get(name)
    flow = dataclasses.replace(config.flow, compute_dtype=dtype)
    config = dataclasses.replace(config, flow=flow, batch_size=count, steps_per_execution=1)
    shape = config.image_shape or _ANY_SHAPE
    noise = ArrayImages(np.random.RandomState(0).randint(0, config.levels, [count, *shape]).astype(np.uint8))
    splits = dict.fromkeys(("train", "validation", "test"), "noise")
    images = ImageData("noise", "noise", noise, noise, noise, config.levels, splits)
    config.check_images(images)
    return build_model(config, form_of(images), seed=0), images


def measure(name, dtypes, batch_size, seconds, glow=True):
    """Measures all rates in turns; returns a dict with the rates in images/s and their ratios.

    Args:
      name: str, name of the config.
      dtypes: list of str, types of the convolutions; there is one network for each.
      batch_size: int.
      seconds: float, how long each rate is measured.
      glow: Python bool; whether to measure `tfb.Glow` with the same amount of convolution work too.
    """
    functions: dict = {}
    work = {}
    for dtype in dtypes:
        model, images = open_model(name, dtype, batch_size)
        ours = steps(model, images.train.pixels)
        works = _works(ours)
        functions |= {(dtype, phase): step for phase, step in ours.items()}
        functions |= {(dtype, f"bare_{phase}"): bare(w) for phase, w in works.items()}
        work[dtype] = {phase: gigamultiplications(w) for phase, w in works.items()}
    if glow:
        work_per_image = work[dtypes[0]]["log_prob"] * 1e9 / batch_size
        theirs = steps(glow_model(images.image_shape, images.levels, work_per_image), images.train.pixels)
        works = _works(theirs)
        functions |= {("glow", phase): step for phase, step in theirs.items()}
        work["glow"] = {phase: gigamultiplications(w) for phase, w in works.items()}
    rates = {key: batch_size * rate for key, rate in turns.rates(functions, seconds).items()}
    return {
        "image_shape": images.image_shape,
        "gigamultiplications_a_batch": work,
        "images_per_second": {key: {f: r for (k, f), r in rates.items() if k == key} for key in work},
        "ratios": _ratios(rates, dtypes, glow),
    }


def steps(model, pixels, jit_compile=False):
    """Returns a dict from each phase to a function without arguments, which is traced when it is first called.

    Args:
      model: compiled `FlowModel` that was not passed here before with another `jit_compile`.
      pixels: array [N, H, W, C], the batch that is trained on and evaluated; N images are sampled.
      jit_compile: Python bool; whether XLA compiles each phase, and of training the whole step.
    """
    flow = model.distribution
    iterator = iter(tf.data.Dataset.from_tensors(tf.constant(pixels)).repeat())
    model.jit_compile = jit_compile  # Keras reads it when training is traced.
    noisy = tf.constant(pixels, tf.float32) + 0.5
    return {
        "train": functools.partial(model.make_train_function(), iterator),
        "log_prob": tf.function(lambda: flow.log_prob(noisy), jit_compile=jit_compile),
        "sample": tf.function(lambda: flow.sample(len(pixels)), jit_compile=jit_compile),
    }


def _works(functions):
    """Returns the convolutions of training and of log_prob, from the functions that `steps` returned."""
    train, log_prob = functions["train"], functions["log_prob"]
    train()  # This comes first, because Glow takes its first scales from the images that it sees.
    graphs = {
        "train": train.func.get_concrete_function(*train.args).graph,
        "log_prob": log_prob.get_concrete_function().graph,
    }
    return {phase: convolutions(graph) for phase, graph in graphs.items()}


def _ratios(rates, dtypes, glow):
    ratios = {}
    for dtype in dtypes:
        for phase in PHASES:
            limit = rates[dtype, "bare_train" if phase == "train" else "bare_log_prob"]
            ratios[f"{dtype} {phase} / bare convolutions"] = rates[dtype, phase] / limit
        ratios[f"{dtype} sample / log_prob"] = rates[dtype, "sample"] / rates[dtype, "log_prob"]
    for dtype in dtypes[1:]:
        for phase in PHASES:
            ratios[f"{phase} {dtype} / {dtypes[0]}"] = rates[dtype, phase] / rates[dtypes[0], phase]
    if glow:
        for phase in PHASES:
            ratios[f"{dtypes[0]} {phase} / tfb.Glow"] = rates[dtypes[0], phase] / rates["glow", phase]
    return ratios


def table(found):
    """Yields the result of `measure` as lines for the terminal."""
    size = "x".join(str(n) for n in found["image_shape"])
    yield f"speed, images of {size}" + "".join(f"{name:>12}" for name in ("train", "log_prob", "sample"))
    for key, rates in found["images_per_second"].items():
        work = found["gigamultiplications_a_batch"][key]
        yield f"{key:24}" + "".join(f"{rates[phase]:12,.2f}" for phase in PHASES) + "   images/s"
        if "bare_train" in rates:
            yield f"{'  its convolutions':24}{rates['bare_train']:12,.2f}{rates['bare_log_prob']:12,.2f}"
        yield f"{'  10 ** 9 products':24}{work['train']:12,.2f}{work['log_prob']:12,.2f}               a batch"
    for name, ratio in found["ratios"].items():
        yield f"{name:44}{ratio:8.3f}"
