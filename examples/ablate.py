"""Trains a config with one ingredient more, less or other, each row for the same time, and prints BUILD.md's table.

    python -m examples.ablate --data_dir=DIR [--row=NAME ...] [--seconds=600] [--out=ablations]

Each row's time for a step is measured first; its learning rate falls over as many steps as fit into the seconds. All
test images are then evaluated with one noise draw each, and the differences between rows are paired by image. A row is
written to --out as soon as it is done, and is not trained again, so that the command goes on where it was stopped. Have
the machine to yourself.
"""

import dataclasses
import pathlib
import time

import tf_keras
from absl import flags

from examples import command as command_lib
from examples import config as config_lib
from examples import data as data_lib
from examples.ablations import measured
from examples.ablations import rows as rows_lib
from examples.models import count_parameters, form_of

_TIMED_STEPS, _UNTIMED_STEPS = 30, 10

FLAGS = flags.FLAGS
flags.DEFINE_string("config", "cifar10_plus_small", "The config of which each row changes something.")
flags.DEFINE_multi_enum("row", list(rows_lib.ROWS), list(rows_lib.ROWS), "Rows to train. Default: all.")
flags.DEFINE_float("seconds", 600.0, "Training time of each row, without tracing and evaluation.", lower_bound=0.1)
flags.DEFINE_integer("seed", 0, "Seed of weights, data order and noise.", lower_bound=0, upper_bound=2**31 - 2)
command_lib.define_path("data_dir", "Directory of prepared TFDS data sets. Default: TFDS's own.", remote=True)
command_lib.define_path("out", "Directory for the results. Default: ablations.")


class _Clock(tf_keras.callbacks.Callback):
    """How long steps take, without the first ones."""

    def on_train_begin(self, logs=None):
        self._ends = []

    def on_train_batch_end(self, batch, logs=None):
        self._ends.append((batch, time.perf_counter()))

    @property
    def seconds_per_step(self):
        first, began = self._ends[min(_UNTIMED_STEPS, len(self._ends) // 2)]
        last, ended = self._ends[-1]
        return (ended - began) / max(1, last - first)


class _Bar(tf_keras.callbacks.Callback):
    """Prints the loss ten times in a training."""

    def __init__(self, steps):
        super().__init__()
        self._steps = steps

    def on_train_batch_end(self, batch, logs=None):
        if (batch + 1) % max(1, self._steps // 10) == 0:
            print(f"  step {batch + 1}/{self._steps}: {logs['bits_per_dim']:.3f} bits/dim", flush=True)
            self.model.reset_metrics()


def _fit(row, config, images, steps, callbacks):
    model = row.build(config, form_of(images), FLAGS.seed)
    batches = data_lib.train_batches(images.train, config.batch_size, seed=FLAGS.seed + row.seed, flip=config.flip)
    model.fit(batches.map(row.prepare), epochs=1, steps_per_epoch=steps, callbacks=callbacks, verbose=0)
    return model


def measure(row, base, images):
    """Trains a row on `ImageData` for the seconds of the flags; returns a dict for JSON, and bits/dim [images]."""
    config = row.config(base)
    config.check_images(images)
    clock = _Clock()
    _fit(row, config, images, _UNTIMED_STEPS + _TIMED_STEPS, [clock])
    steps = max(2, round(FLAGS.seconds / clock.seconds_per_step))
    config = dataclasses.replace(config, steps=steps, warmup_steps=min(config.warmup_steps, steps // 10))
    model = _fit(row, config, images, steps, [clock, _Bar(steps)])
    test = data_lib.eval_batches(images.test, config.batch_size, None)
    bits = model.predict(test.map(row.prepare), verbose=0)
    return {
        "bits_per_dim": float(bits.mean()),
        "seconds_per_step": clock.seconds_per_step,
        "steps": steps,
        "images": steps * config.batch_size,
        "parameters": count_parameters(model),
        "data": images.name,
        "test_images": len(bits),
    }, bits


def _ablate():
    directory = pathlib.Path(FLAGS.out or "ablations")
    directory.mkdir(parents=True, exist_ok=True)
    base = config_lib.get(FLAGS.config)
    given = {"base": base.values, "seconds": FLAGS.seconds, "seed": FLAGS.seed}
    found = measured.read(directory, {name: given | {"row": row.values(base)} for name, row in rows_lib.ROWS.items()})
    images = base.load(config_lib.Sources(FLAGS.data_dir))
    for name in FLAGS.row:
        if name in found:
            continue
        row = rows_lib.ROWS[name]
        print(f"{name}: {row.what}", flush=True)
        try:
            values, bits = measure(row, base, images)
        except FloatingPointError as error:
            print(f"  {error}", flush=True)
            continue
        measured.write(directory, name, values | {"given": given | {"row": row.values(base)}}, bits)
        found[name] = values, bits
    print("\n".join(measured.table(found)))


def main(argv):
    command_lib.begin(argv)
    with command_lib.errors_in_one_line("stopped; rows that were done are kept"):
        _ablate()


if __name__ == "__main__":
    command_lib.run(main)
