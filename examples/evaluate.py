"""Prints the bits/dim of a trained run, and writes it beside the run.

    python -m examples.evaluate --run=runs/digits --noise_draws=4 --importance_samples=16

It writes result_SPLIT.json to the run's directory; `python -m examples.results` makes a table of such files.
"""

import csv
import io
import json
import pathlib

import tensorflow as tf
from absl import flags

from examples import checkpoints, config_flag, evaluation, experiment, strategies, together
from examples import command as command_lib
from examples import run as run_lib
from examples.versions import versions

FLAGS = flags.FLAGS
config_flag.define_run()
strategies.define()
flags.DEFINE_enum("split", "test", evaluation.SPLITS, "Images to evaluate.")
flags.DEFINE_integer(
    "images", None, "Evaluate this many of the first images of the split. Default: all.", lower_bound=1
)
flags.DEFINE_integer(
    "noise_draws", 1, "An image's bits/dim is the mean over this many draws of the noise.", lower_bound=1
)
flags.DEFINE_integer(
    "importance_samples", 1, "Draws of the noise for the importance-weighted bound; 1 leaves it out.", lower_bound=1
)
flags.DEFINE_integer(
    "recalibrate", 0, "Estimate batch norms' running statistics anew from this many training images.", lower_bound=0
)
flags.DEFINE_bool("per_image", False, "Also write the values per image, to per_image_SPLIT.csv.")


def _csv_text(per_image):
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", *per_image])
    writer.writerows([i, *values] for i, values in enumerate(zip(*per_image.values(), strict=True)))
    return text.getvalue()


# Among several workers.
_ALIKE = ("run", "data_dir", "folder", "split", "images", "noise_draws", "importance_samples", "recalibrate")


def _evaluate(workers):
    """Evaluates what the flags name; returns the result, and a dict from what a written file holds to its path."""
    alike = {name: FLAGS[name].value for name in _ALIKE} | versions()
    folder = pathlib.Path(FLAGS.run) / "checkpoints"
    strategy, told = strategies.start(workers, alike, lambda: {"checkpoint": checkpoints.newest(folder)})
    opened = experiment.open_run(
        FLAGS.run, **config_flag.of_run(), strategy=strategy, workers=workers, newest=told["checkpoint"]
    )
    if workers.is_chief:
        run_lib.check_writable("run", FLAGS.run)
    try:
        result, per_image = evaluation.evaluate(
            opened,
            FLAGS.split,
            "python -m examples.evaluate",
            count=FLAGS.images,
            noise_draws=FLAGS.noise_draws,
            importance_samples=FLAGS.importance_samples,
            recalibration_images=FLAGS.recalibrate,
        )
    except (tf.errors.DataLossError, tf.errors.NotFoundError) as error:
        raise OSError(opened.images.damage()) from error
    files: dict[str, pathlib.Path] = {}
    if not workers.is_chief:
        return result, files
    if FLAGS.per_image:
        files["per image"] = opened.run.directory / f"per_image_{FLAGS.split}.csv"
        run_lib.write(files["per image"], _csv_text(per_image))
    files["result"] = opened.run.result(FLAGS.split)
    run_lib.write(files["result"], json.dumps(result, indent=1) + "\n")
    return result, files


def main(argv):
    command_lib.begin(argv)
    with command_lib.errors_in_one_line("stopped; no result was written"):
        workers = strategies.workers()
    with together.ended(workers):
        _main(workers)


def _main(workers):
    with command_lib.errors_in_one_line("stopped; no result was written"), together.losing_workers(workers):
        result, files = _evaluate(workers)
    if workers.is_chief:
        print(evaluation.report(result))
        for name, path in files.items():
            print(f"{name + ':':12} {path}")


if __name__ == "__main__":
    command_lib.run(main)
