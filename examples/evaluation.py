"""Bits/dim of a split, with all that a reader of the number must know."""

import importlib.metadata
import math
import sys

import numpy as np
import tensorflow as tf
import tf_keras

from examples.data import eval_batches
from examples.data.image_data import check_int, import_extra
from tfp_realnvp import dequantize, importance_weighted_bits_per_dim, recalibrate, training_mode_bits_per_dim

SPLITS = ("train", "validation", "test")
_LARGEST_GAP = 0.05  # bits/dim between the two modes of batch norm
_GAP_IMAGES = 512
_PACKAGES = ("tensorflow", "tensorflow-probability", "tf_keras", "numpy", "tfp_realnvp")


def evaluate(experiment, split, command, *, count=None, noise_draws=1, importance_samples=1, recalibration_images=0):
    """Evaluates an experiment, with the averaged weights if its model keeps any.

    Args:
      experiment: `Experiment`; its running statistics are changed if they are recalibrated.
      split: "train", "validation" or "test".
      command: str, the program that evaluates; its arguments are added.
      count: int, how many of the first images of the split; None for all.
      noise_draws: int K; the bits/dim of an image is the mean over the first K draws of the noise.
      importance_samples: int M; with M > 1 also the importance-weighted bound over the first M draws.
      recalibration_images: int, how many training images the running statistics are estimated from anew; 0 keeps them.

    Returns:
      The result, a dict for JSON, and the values per image: a dict of names and arrays [N], in bits/dim.
    """
    images, model = getattr(experiment.images, split), experiment.model
    check_request(experiment.images, count, noise_draws, importance_samples, recalibration_images)
    total = len(images)
    count = total if count is None else min(count, total)
    with model.evaluation_weights():
        statistics = _recalibrate(experiment, recalibration_images) if recalibration_images else "running"
    draws = _draws(experiment, images, count, max(noise_draws, importance_samples))
    per_image = {"bits_per_dim": draws[:noise_draws].mean(0)}
    weighted = None
    if importance_samples > 1:
        log_probs = -draws[:importance_samples] * math.prod(images.shape) * math.log(2)
        bound = importance_weighted_bits_per_dim(log_probs, images.shape).numpy()
        per_image["importance_weighted"] = bound
        weighted = {"samples": importance_samples, **_mean(bound)}
    first = f"first {count:,} of {total:,}" if count < total else f"all {total:,}"
    result = {
        **_mean(per_image["bits_per_dim"]),
        "importance_weighted": weighted,
        "training_mode_gap": _training_mode_gap(experiment, images, draws[0]),
        "bound": experiment.images.whole,
        "config": experiment.settings.config,
        "key": experiment.images.key,
        "data": experiment.images.name,
        "genuine": experiment.images.genuine,
        "split": split,
        "split_is": f"{first}: {experiment.images.splits[split]}",
        "images": count,
        "image_shape": list(images.shape),
        "preprocessing": experiment.images.preprocessing,
        "noise_draws": noise_draws,
        "batch_size": experiment.config.batch_size,
        "conditional": experiment.conditional,
        "preset": experiment.config.flow.get("preset", "released"),
        "flow": dict(experiment.config.flow),
        "weights": "averaged" if experiment.config.averaging else "last",
        "statistics": statistics,
        "step": experiment.step,
        "images_seen": experiment.step * experiment.config.batch_size,
        "minutes": float(experiment.manager.checkpoint.seconds.numpy()) / 60 or None,
        "training_command": experiment.settings.command,
        "command": " ".join([command, *sys.argv[1:]]),
        "seed": experiment.settings.seed,
        "identity": experiment.run.identity,
        "versions": {package: importlib.metadata.version(package) for package in _PACKAGES},
    }
    return result, per_image


def check_request(images, count, noise_draws, importance_samples, recalibration_images):
    """Raises ValueError unless `evaluate` can do with these arguments what they ask for."""
    if count is not None:
        check_int("images", count, 1, "how many of the first images of the split")
    check_int("noise_draws", noise_draws, 1, "the draws that bits/dim is the mean of")
    check_int("importance_samples", importance_samples, 1, "the draws of the bound; 1 is the plain one")
    check_int("recalibrate", recalibration_images, 0, "the training images for the running statistics")
    if not images.whole and max(noise_draws, importance_samples) > 1:
        name = "noise_draws" if noise_draws > 1 else "importance_samples"
        raise ValueError(
            f"`{name}`={max(noise_draws, importance_samples)}: must be 1 for {images.name}, whose pixels are no whole "
            "numbers: no 8-bit code is bounded, whatever the number of draws."
        )


def report(result):
    """Returns the result as a line for a person."""
    draws = f"{result['noise_draws']} noise draw{'s' * (result['noise_draws'] > 1)} each"
    bound = "" if result["bound"] else " (pixels are no whole numbers: a bound of no 8-bit code)"
    line = (
        f"{result['split']}: {result['bits_per_dim']:.3f} +- {result['standard_error']:.3f} bits/dim{bound} "
        f"({result['data']}; {result['split_is']}; {draws}; {result['weights']} weights of step {result['step']}; "
        f"statistics {result['statistics']})"
    )
    weighted = result["importance_weighted"]
    if weighted:
        line += (
            f"\nimportance-weighted, {weighted['samples']} samples: {weighted['bits_per_dim']:.3f} +- "
            f"{weighted['standard_error']:.3f} bits/dim"
        )
    gap = result["training_mode_gap"]
    if abs(gap) > _LARGEST_GAP:
        line += (
            f"\nwarning: with the statistics of its batches, as in training, bits/dim differs by {gap:+.3f}: the "
            "running statistics don't fit the weights, so these numbers and samples may mean nothing; try python -m "
            "examples.evaluate with --recalibrate=4096"
        )
    return line


def write(path, text):
    """Writes a text file, whole or not at all."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_text(text)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _mean(values):
    return {"bits_per_dim": float(values.mean()), "standard_error": float(values.std() / math.sqrt(len(values)))}


def _draws(experiment, images, count, num_draws):
    """Returns bits/dim per image, float64 [num_draws, count]."""
    batch_size, model = experiment.config.batch_size, experiment.model
    batches = eval_batches(images, batch_size, count)
    steps = num_draws * math.ceil(count / batch_size)
    with import_extra("tqdm").tqdm(desc="evaluating", total=steps, unit="batch", leave=False, disable=None) as bar:
        progress = tf_keras.callbacks.LambdaCallback(on_predict_batch_end=lambda batch, logs: bar.update())
        options = {"callbacks": [progress], "verbose": 0}
        return np.stack([model.predict(batches, draw=k, **options) for k in range(num_draws)]).astype(np.float64)


def _pixels(experiment, images, count):
    """Returns a dataset of the first images, with noise: what the distribution takes."""
    batch_size = min(experiment.config.batch_size, count)

    def prepare(number, batch):
        pixels, *conditioning = batch if isinstance(batch, tuple) else (batch,)
        if experiment.images.whole:
            pixels = dequantize(pixels, experiment.images.levels, seed=tf.stack([number, 0]))
        return (pixels, *conditioning) if conditioning else pixels

    return eval_batches(images, batch_size, count // batch_size * batch_size).enumerate().map(prepare)


def _recalibrate(experiment, count):
    """Estimates the running statistics from the first training images; returns in words what was done."""
    train = experiment.images.train
    count = min(count, len(train))
    recalibrate(experiment.model.distribution, _pixels(experiment, train, count))
    return f"recalibrated on the first {count:,} training images"


def _training_mode_gap(experiment, images, draw):
    """Bits/dim of the first images with the statistics of their batches, less that of `draw`, with the running ones."""
    model, count = experiment.model, min(len(draw), _GAP_IMAGES)
    with model.evaluation_weights():
        in_training = training_mode_bits_per_dim(model.distribution, _pixels(experiment, images, count))
    return float(in_training.mean() - draw[: len(in_training)].mean())
