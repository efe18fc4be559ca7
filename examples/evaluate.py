"""Prints the bits/dim of a trained run, and writes it beside the run.

    python -m examples.evaluate --run=runs/digits --noise_draws=4 --importance_samples=16

Writes result_SPLIT.json to the run's directory; `python -m examples.results` makes a table of such files.
"""

import csv
import dataclasses
import io
import json
import pathlib
import sys

from absl import app, flags, logging

from examples import evaluation, experiment
from examples import run as run_lib

FLAGS = flags.FLAGS
flags.DEFINE_string("run", None, "Directory of a run of examples.train.", required=True)
flags.DEFINE_enum("split", "test", evaluation.SPLITS, "Images to evaluate.")
flags.DEFINE_integer("images", None, "How many of the first images of the split. Default: all.", lower_bound=1)
flags.DEFINE_integer("noise_draws", 1, "Draws of the noise that an image's bits/dim is the mean of.", lower_bound=1)
flags.DEFINE_integer(
    "importance_samples", 1, "Draws of the noise of the importance-weighted bound; 1 leaves it out.", lower_bound=1
)
flags.DEFINE_integer(
    "recalibrate", 0, "Estimate batch norms' running statistics anew from this many training images.", lower_bound=0
)
flags.DEFINE_bool("per_image", False, "Also write the values per image, to per_image_SPLIT.csv.")
flags.DEFINE_string("data_dir", None, "Directory of prepared TFDS data sets. Default: that of the training.")


def open_run(directory, data_dir=None):
    """Returns the `Experiment` of a trained run; raises as `open_experiment` does, or if there is no checkpoint."""
    settings = experiment.Settings.read(pathlib.Path(directory) / run_lib.SETTINGS)
    if data_dir is not None:
        settings = dataclasses.replace(settings, sources=dataclasses.replace(settings.sources, data_dir=data_dir))
    opened = experiment.open_experiment(settings, directory)
    if opened.manager.latest_checkpoint is None:
        raise FileNotFoundError(f"`run`={directory}: holds no checkpoint; run {settings.command} first.")
    return opened


def _table(per_image):
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["image", *per_image])
    writer.writerows([i, *values] for i, values in enumerate(zip(*per_image.values(), strict=True)))
    return text.getvalue()


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments {argv[1:]}; flags are written --name=value.")
    logging.set_verbosity(logging.WARNING)
    try:
        opened = open_run(FLAGS.run, FLAGS.data_dir)
        result, per_image = evaluation.evaluate(
            opened,
            FLAGS.split,
            "python -m examples.evaluate",
            count=FLAGS.images,
            noise_draws=FLAGS.noise_draws,
            importance_samples=FLAGS.importance_samples,
            recalibration_images=FLAGS.recalibrate,
        )
        path = opened.run.result(FLAGS.split)
        if FLAGS.per_image:
            table = opened.run.directory / f"per_image_{FLAGS.split}.csv"
            evaluation.write(table, _table(per_image))
        evaluation.write(path, json.dumps(result, indent=1) + "\n")
    except (FloatingPointError, ImportError, OSError, RuntimeError, TypeError, ValueError) as error:
        sys.exit(f"error: {error}")
    print(evaluation.report(result))
    print(f"result:      {path}" + (f"\nper image:   {table}" if FLAGS.per_image else ""))


if __name__ == "__main__":
    app.run(main)
