"""Bits/dim of a split, with everything that a reader of the number must know."""

import math
import shlex
import sys

import numpy as np
import tensorflow as tf
import tf_keras

from examples.benchmarks.convolutions import convolutions, gigamultiplications
from examples.data import eval_batches
from examples.data.image_data import check_int, import_extra
from examples.shared_evaluation import SharedEvaluation
from examples.versions import versions
from tfp_realnvp import (
    bits_per_dim,
    dequantize,
    importance_weighted_bits_per_dim,
    recalibrate,
    training_mode_bits_per_dim,
)

SPLITS = ("train", "validation", "test")
# The gap between the two modes of batch norm that is worth a warning: more than both. Early in training, when bits/dim
# falls by more from one step to the next, running statistics always lag by about 1 %.
_LARGEST_GAP = 0.05  # bits/dim
_LARGEST_SHARE = 0.02  # of bits/dim
_GAP_IMAGES = 256


def evaluate(experiment, split, command, *, count=None, noise_draws=1, importance_samples=1, recalibration_images=0):
    """Evaluates an experiment, with the averaged weights if its model keeps any.

    Args:
      experiment: `Experiment`; its running statistics are changed if they are recalibrated.
      split: "train", "validation" or "test".
      command: str, the program that evaluates; the result records it with its arguments.
      count: int, how many of the first images of the split; None for all.
      noise_draws: int K; the bits/dim of an image is the mean over the first K draws of the noise.
      importance_samples: int M; with M > 1 also the importance-weighted bound over the first M draws.
      recalibration_images: int, how many training images the running statistics are estimated from; 0 keeps them.

    Returns:
      The result, a dict for JSON, and the values per image: a dict from names to arrays [count], in bits/dim.

    Raises:
      ValueError: if an argument breaks its rule.
      FloatingPointError: if the bits/dim of an image is not finite.
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
        "training_mode_gap": _training_mode_gap(experiment),
        "bound": experiment.images.whole,
        "config": experiment.settings.name,
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
        "preset": experiment.config.flow.preset,
        "values": experiment.config.values,
        "weights": "averaged" if experiment.config.averaging else "last",
        "statistics": statistics,
        "step": experiment.step,
        "images_seen": experiment.step * experiment.config.batch_size,
        "minutes": experiment.seconds / 60 or None,
        "training_flop": _flop_of_an_image(experiment) * experiment.step * experiment.config.batch_size,
        "training_command": experiment.settings.command,
        "command": f"{command} {shlex.join(sys.argv[1:])}".strip(),
        "seed": experiment.settings.seed,
        "identity": experiment.run.identity,
        "versions": versions(),
    }
    return result, per_image


def check_request(images, count, noise_draws, importance_samples, recalibration_images):
    """Raises ValueError if one of these arguments of `evaluate` breaks its rule."""
    if count is not None:
        check_int("images", count, 1, "how many of the first images of the split")
    check_int("noise_draws", noise_draws, 1, "the draws that bits/dim is the mean of")
    check_int("importance_samples", importance_samples, 1, "the draws of the bound; 1 is the plain one")
    check_int("recalibrate", recalibration_images, 0, "the training images for the running statistics")
    for name, value in {"noise_draws": noise_draws, "importance_samples": importance_samples}.items():
        if value > 1 and not images.whole:
            raise ValueError(
                f"`{name}`={value}: must be 1 for {images.name}, whose pixels are no whole numbers: no 8-bit code is "
                "bounded, whatever the number of draws; leave it out."
            )


def statistics_fit(result):
    """Whether running statistics fit the weights of a result well enough for its numbers to mean something."""
    gap = result.get("training_mode_gap") or 0.0
    return abs(gap) <= max(_LARGEST_GAP, _LARGEST_SHARE * abs(result["bits_per_dim"]))  # NaN is not.


def report(result):
    """Returns the result as text for the terminal."""
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
    if not statistics_fit(result):
        line += (
            f"\nwarning: with the statistics of their batch, as in training, bits/dim of training images differs by "
            f"{gap:+.3f}: the running statistics don't fit the weights, so these numbers and samples may mean nothing; "
            "try python -m examples.evaluate with --recalibrate=4096"
        )
    return line


def _mean(values):
    return {"bits_per_dim": float(values.mean()), "standard_error": float(values.std() / math.sqrt(len(values)))}


def _draws(experiment, images, count, num_draws):
    """Returns bits/dim, float64 [num_draws, count]; raises FloatingPointError unless all are finite."""
    batch_size, model = experiment.config.batch_size, experiment.model
    if experiment.workers.several:
        shared = SharedEvaluation(model, experiment.workers)
        return _finite(np.stack([shared.per_image(images, batch_size, count, draw=k) for k in range(num_draws)]))
    batches = eval_batches(images, batch_size, count)
    steps = math.ceil(count / batch_size)
    total = num_draws * steps
    with import_extra("tqdm").tqdm(desc="evaluating", total=total, unit="batch", leave=False, disable=None) as bar:
        progress = tf_keras.callbacks.LambdaCallback(
            on_predict_batch_end=lambda batch, logs: bar.update(batch + 1 - bar.n % steps)
        )
        options = {"callbacks": [progress], "verbose": 0}
        draws = np.stack([model.predict(batches, draw=k, **options) for k in range(num_draws)]).astype(np.float64)
    return _finite(draws)


def _finite(draws):
    """Returns bits/dim [num_draws, count]; raises FloatingPointError unless all are finite."""
    count = draws.shape[1]
    wrong = np.flatnonzero(~np.isfinite(draws).all(0))
    if len(wrong):
        raise FloatingPointError(
            f"bits/dim of {len(wrong):,} of {count:,} images is not finite, of image {wrong[0]} first; if the running "
            "statistics are at fault, --recalibrate=4096 helps, else train again with a lower learning rate."
        )
    return draws


def _pixels(experiment, images, count, batch_size):
    """Returns a dataset of the first `count` images with noise, and their conditioning, for the distribution."""

    def prepare(number, batch):
        pixels, *conditioning = batch if isinstance(batch, tuple) else (batch,)
        if experiment.images.whole:
            pixels = dequantize(pixels, experiment.images.levels, seed=tf.stack([number, 0]))
        return (pixels, *conditioning) if conditioning else pixels

    return eval_batches(images, batch_size, count).enumerate().map(prepare)


def _flop_of_an_image(experiment):
    """Returns the FLOP of convolutions in training on one image: 2 a multiplication, 3 times that with gradients."""
    images, distribution = experiment.images, experiment.model.distribution
    size = len(images.conditioning_names)
    keywords = {"bijector_kwargs": {"conditioning": tf.zeros([1, size])}} if size else {}
    log_prob = tf.function(lambda x: distribution.log_prob(x, **keywords), autograph=False)
    graph = log_prob.get_concrete_function(tf.TensorSpec([1, *images.image_shape], distribution.dtype)).graph
    return 2e9 * gigamultiplications(convolutions(graph)) * 3


def _recalibrate(experiment, count):
    """Estimates the running statistics from the first training images; returns words that say so."""
    train = experiment.images.train
    count = min(count, len(train))
    batch_size = min(experiment.config.batch_size, count)
    count -= count % batch_size
    recalibrate(experiment.model.distribution, _pixels(experiment, train, count, batch_size))
    return f"recalibrated on the first {count:,} training images"


def _training_mode_gap(experiment):
    """Returns bits/dim of training images with the statistics of their batch, less that with the running statistics.

    Training images are used whichever split is evaluated. The batch statistics of other images may fit those images
    better, by 0.15 for digits after 400 steps, though nothing is wrong with the running statistics and recalibration
    changes nothing. Both numbers are of the same pixels, because another draw of the noise moves the mean of 64 small
    images by 0.02. The images form one large batch, because a small batch's own statistics fit it better than any
    statistics that are to fit all images.
    """
    images, distribution = experiment.images.train, experiment.model.distribution
    count = min(len(images), _GAP_IMAGES)
    batch = next(iter(_pixels(experiment, images, count, count)))
    pixels, *conditioning = batch if isinstance(batch, tuple) else (batch,)
    keywords = {"bijector_kwargs": {"conditioning": conditioning[0]}} if conditioning else {}
    with experiment.model.evaluation_weights():
        in_training = training_mode_bits_per_dim(distribution, [batch])
        running = bits_per_dim(distribution.log_prob(pixels, **keywords), images.shape).numpy()
    return float(in_training.mean() - running.mean())
