"""Measures what the input pipeline of a config delivers against what its training consumes, in one run.

    python -m examples.benchmark --config=cifar10_small --data_dir=DIR

Prints a table, and writes it as JSON where --json says.
"""

import json
import pathlib
import statistics
import sys
import tempfile
import time

import tensorflow as tf
from absl import app, flags, logging

from examples import config as config_lib
from examples import data, experiment

_TURNS = 3

FLAGS = flags.FLAGS
flags.DEFINE_string("config", "digits", f"Experiment: one of {', '.join(config_lib.names())}.")
flags.DEFINE_string("data_dir", None, "Directory of prepared TFDS data sets. Default: TFDS's own.")
flags.DEFINE_bool("conditional", False, "Condition the flow on the data's classes or attributes.")
flags.DEFINE_integer("batch_size", None, "Images a step. Default: the config's.", lower_bound=1)
flags.DEFINE_float("seconds", 20.0, "How long each figure is measured, in three turns.", lower_bound=0.1)
flags.DEFINE_string("json", None, "File to write the figures to.")


def batches_per_second(iterator, seconds):
    """Takes batches for so long, after a first one; returns how many a second."""
    next(iterator)
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        next(iterator)
        count += 1
    return count / (time.perf_counter() - began)


def steps_per_second(model, batches, seconds):
    """Trains for so long, after a first round that traces; returns steps a second."""
    model.fit(batches, steps_per_epoch=2, verbose=0)
    steps = 1
    while True:  # More steps at a time, until a call of `fit`, which has a cost of its own, lasts.
        began = time.perf_counter()
        model.fit(batches, steps_per_epoch=steps, verbose=0)
        taken = time.perf_counter() - began
        if taken >= seconds:
            return steps / taken
        steps = max(steps + 1, int(steps * min(20.0, 1.2 * seconds / taken)))


def measure(opened, batch_size, seconds):
    """Returns images/s: of the input alone, of training on one batch over and over, and of training on the input.

    In turns, since a machine's speed changes over minutes; each figure is the median of its turns.
    """
    model = opened.model
    batches = data.train_batches(opened.images.train, batch_size, seed=0, flip=opened.config.flip)
    same = tf.data.Dataset.from_tensors(next(iter(batches))).repeat()
    figures = {
        "input": lambda: batches_per_second(iter(batches), seconds / _TURNS),
        "training_on_one_batch": lambda: steps_per_second(model, same, seconds / _TURNS),
        "training": lambda: steps_per_second(model, batches, seconds / _TURNS),
    }
    turns = [{name: batch_size * figure() for name, figure in figures.items()} for _ in range(_TURNS)]
    return {name: statistics.median(turn[name] for turn in turns) for name in figures}


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments {argv[1:]}; flags are written --name=value.")
    logging.set_verbosity(logging.WARNING)
    sources = config_lib.Sources(FLAGS.data_dir, conditional=FLAGS.conditional)
    try:
        with tempfile.TemporaryDirectory() as nowhere:  # No run is written.
            opened = experiment.open_experiment(experiment.Settings(FLAGS.config, sources), nowhere)
        batch_size = FLAGS.batch_size or opened.config.batch_size
        rates = measure(opened, batch_size, FLAGS.seconds)
    except (ImportError, OSError, RuntimeError, TypeError, ValueError) as error:
        sys.exit(f"error: {error}")
    figures = {
        "config": FLAGS.config,
        "data": opened.images.name,
        "in_memory": isinstance(opened.images.train, data.ArrayImages),
        "batch_size": batch_size,
        "images_per_second": rates,
        "input_over_training": rates["input"] / rates["training_on_one_batch"],
        "training_over_training_on_one_batch": rates["training"] / rates["training_on_one_batch"],
        "command": " ".join(["python -m examples.benchmark", *sys.argv[1:]]),
    }
    where = "in memory" if figures["in_memory"] else "read from files"
    print(
        f"{FLAGS.config}, batches of {batch_size}; {figures['data']}, {where}\n"
        f"input alone              {rates['input']:10,.1f} images/s\n"
        f"training on one batch    {rates['training_on_one_batch']:10,.1f} images/s\n"
        f"training on the input    {rates['training']:10,.1f} images/s\n"
        f"input / training on one batch                 {figures['input_over_training']:10.2f}\n"
        f"training on the input / training on one batch {figures['training_over_training_on_one_batch']:10.3f}"
    )
    if FLAGS.json:
        pathlib.Path(FLAGS.json).write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    app.run(main)
