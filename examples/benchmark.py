"""Measures a config in one run: how fast its network is, could be, and where time is lost; its start; its input.

    python -m examples.benchmark --config=cifar10_small --data_dir=DIR

It prints a table, and writes it as JSON to the file that --json names. Only the part `input` needs data.
"""

import json
import pathlib
import shlex
import sys
import tempfile

import tensorflow as tf
from absl import flags

from examples import command as command_lib
from examples import config as config_lib
from examples import experiment
from examples.benchmarks import compiled, feed, first_step, operations, several, speed
from examples.settings import Settings

_PARTS = ("speed", "start", "input", "xla", "operations")
_WHERE_ASKED_FOR = ("workers",)

FLAGS = flags.FLAGS
flags.DEFINE_string("config", "digits", f"Experiment: one of {', '.join(config_lib.names())}.")
flags.DEFINE_multi_enum(
    "part",
    list(_PARTS),
    [*_PARTS, *_WHERE_ASKED_FOR],
    "What to measure; may be given several times. speed: training, log_prob, sample. start: time to the first step, "
    "memory. input: how fast the data arrive. xla: training, log_prob, sample compiled by XLA, beside the plain ones. "
    "operations: the share of each type of operation. workers, only if asked for: a step of 1, 2 and 3 workers.",
)
flags.DEFINE_multi_enum(
    "dtype",
    ["float32", "bfloat16"],
    ["float32", "bfloat16", "float16"],
    "Type of the convolutions. The parts speed and start take several and compare them with the first; the others take "
    "only the first.",
)
flags.DEFINE_bool("glow", True, "Also measure tfb.Glow, with the same amount of convolution work.")
command_lib.define_path("data_dir", "Directory of prepared TFDS data sets. Default: TFDS's own.", remote=True)
flags.DEFINE_bool("conditional", False, "In the part input, condition the flow on the data's classes or attributes.")
flags.DEFINE_integer("batch_size", None, "Images per step. Default: the config's.", lower_bound=1)
flags.DEFINE_float("seconds", 20.0, "For how long each rate is measured, in turns with the others.", lower_bound=0.1)
command_lib.define_path("json", "File to write the figures to.")


def measure():
    """Yields (part, figures, lines of the table) for each part that the flags name."""
    config = config_lib.get(FLAGS.config)
    batch_size = FLAGS.batch_size or config.batch_size
    if "start" in FLAGS.part:  # First, because this program's peak memory counts for those that it starts.
        found = {dtype: first_step.measure(FLAGS.config, dtype, batch_size) for dtype in FLAGS.dtype}
        yield "start", found, first_step.table(found)
    if "input" in FLAGS.part:
        sources = config_lib.Sources(FLAGS.data_dir, conditional=FLAGS.conditional)
        with tempfile.TemporaryDirectory() as nowhere:  # No run is written.
            opened = experiment.open_experiment(Settings(FLAGS.config, config.values, sources), config, nowhere)
        found = feed.measure(opened, batch_size, FLAGS.seconds)
        yield "input", found, feed.table(found)
        del opened
    if "speed" in FLAGS.part:
        found = speed.measure(FLAGS.config, FLAGS.dtype, batch_size, FLAGS.seconds, glow=FLAGS.glow)
        yield "speed", found, speed.table(found)
    if "xla" in FLAGS.part:
        found = compiled.measure(FLAGS.config, FLAGS.dtype[0], batch_size, FLAGS.seconds)
        yield "xla", found, compiled.table(found)
    if "operations" in FLAGS.part:
        found = operations.measure(FLAGS.config, FLAGS.dtype[0], batch_size)
        yield "operations", found, operations.table(found)
    if "workers" in FLAGS.part:
        found = several.measure(FLAGS.config, FLAGS.dtype[0], batch_size)
        yield "workers", found, several.table(found)


def main(argv):
    command_lib.begin(argv)
    with command_lib.errors_in_one_line("stopped; only the parts above were measured"):
        figures = {
            "config": FLAGS.config,
            "batch_size": FLAGS.batch_size or config_lib.get(FLAGS.config).batch_size,
            "tensorflow": tf.__version__,
            "command": f"python -m examples.benchmark {shlex.join(sys.argv[1:])}".strip(),
        }
        print(f"{FLAGS.config}, batches of {figures['batch_size']}, TensorFlow {tf.__version__}")
        for part, found, lines in measure():
            figures[part] = found
            print("\n" + "\n".join(lines), flush=True)
            if FLAGS.json:
                pathlib.Path(FLAGS.json).write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    command_lib.run(main)
