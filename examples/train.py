"""Trains a flow on images.

    python -m examples.train --config=digits [--config.FIELD=VALUE ...] [--config.flow.FIELD=VALUE ...]

A run is its config, data and seed: the same command, run again, resumes it, and more --config.steps train it on, unless
the learning rate decays over the steps; anything else is a new run in another --run_dir, which may begin with the
weights of this one, --init_from=RUN.

It writes to --run_dir: samples_*.png and data.png, log.csv, tensorboard/, checkpoints/, and result_test.json with the
bits/dim on the test images.
"""

import functools
import json
import pathlib
import shlex
import sys
import time

import tensorflow as tf
from absl import flags

from examples import callbacks as cb
from examples import checkpoints, config_flag, evaluation, experiment, initial_weights, logs, plots, strategies
from examples import command as command_lib
from examples import config as config_lib
from examples import data as data_lib
from examples import lock as lock_lib
from examples import precision as precision_lib
from examples import run as run_lib
from examples.models import count_parameters
from examples.settings import Settings
from tfp_realnvp import quantize

_SHEET = 64  # pictures on a sheet

FLAGS = flags.FLAGS
_DEFAULT_CONFIG = "digits"
config_flag.define(
    _DEFAULT_CONFIG,
    f"Experiment: one of {', '.join(config_lib.names())}, or a file of your own that defines get_config(). Its fields "
    "are set by --config.steps=100 or --config.flow.width=64, those that may be None to none.",
)
command_lib.define_path("run_dir", "Directory of the run. Default: runs/NAME[_conditional].")
command_lib.define_path(
    "init_from",
    "Run, or export, whose weights a new run begins with; schedule, batch size, and data of its shape may differ.",
)
flags.DEFINE_enum(
    "init_weights",
    "averaged",
    ["averaged", "last"],
    "Which weights of --init_from to take; a run without averages has the last.",
)
command_lib.define_path("data_dir", "Directory of prepared TFDS data sets. Default: TFDS's own.", remote=True)
command_lib.define_path("folder", "Directory of pictures, for --config=folder.")
flags.DEFINE_integer(
    "image_size", 32, "Side of the squares, in pixels, that the pictures of --folder are cut to.", lower_bound=1
)
flags.DEFINE_bool("conditional", False, "Condition the flow on the data's classes or attributes.")
flags.DEFINE_integer("seed", 0, "Seed of weights, data order and noise.", lower_bound=0, upper_bound=2**31 - 1)
flags.DEFINE_enum(
    "strategy",
    "default",
    strategies.NAMES,
    "tf.distribute strategy: mirrored takes all GPUs of this machine.",
)
flags.DEFINE_string("tpu", "", "Name or address of the TPU, for --strategy=tpu.")


def arrange(arguments):
    """See `config_flag.arrange`."""
    return config_flag.arrange(arguments, _DEFAULT_CONFIG)


def segments(step, steps, interval):
    """Splits the steps from `step` to `steps` at multiples of `interval`.

    Yields (start, length, count): from step `start` on, `count` stretches of `length` steps each.
    """
    while step < steps:
        end = min(steps, (step // interval + 1) * interval)
        length = end - step
        count = max(1, (steps - step) // interval) if length == interval else 1
        yield step, length, count
        step += length * count


def train(opened, strategy):
    """Trains an `Experiment` from its newest checkpoint to the number of steps of its config."""
    config, images, model, run = opened.config, opened.images, opened.model, opened.run
    start, seed = opened.step, opened.settings.seed
    first_batch = next(iter(data_lib.eval_batches(images.train, _SHEET, _SHEET)))
    pictures, conditioning = first_batch if opened.conditional else (first_batch, None)
    saver = cb.Checkpoints(opened.manager, config.interval, config.steps, start)
    sheets = cb.SampleSheets(
        run.directory, run.tensorboard / "samples", count=len(pictures), seed=seed, conditioning=conditioning
    )
    log = logs.LossLog(run.log, opened.manager.checkpoint.log, start)
    progress = logs.Progress(start, config.steps, config.batch_size)
    callbacks = [progress, log, saver, sheets, logs.tensorboard(run.tensorboard, opened.settings)]
    for callback in callbacks:
        callback.set_model(model)
    held_out = data_lib.eval_batches(images.validation, config.batch_size, config.validation_images)
    with saver.stopped_by_signals():
        sheet = pictures if images.whole else quantize(pictures)
        plots.write_png(run.directory / "data.png", plots.image_sheet(sheet.numpy(), levels=images.levels))
        if opened.manager.latest_checkpoint is None:
            model.initialize_from_data(pictures, conditioning)
            saver.save()
        ended = saver.has_ended_interval
        if ended and not log.has_start:
            finish_interval(model, held_out, callbacks)
        elif not sheets.path(start).exists() and (ended or start == 0):
            print(f"samples of step {start}: {sheets.write()}")
        elif not ended:
            saver.resume_interval()
        for begin, length, count in segments(start, config.steps, config.interval):
            make_batches = functools.partial(
                data_lib.train_batches, images.train, config.batch_size, seed=seed, start_step=begin, flip=config.flip
            )
            if strategy.num_replicas_in_sync > 1:
                batches = strategy.distribute_datasets_from_function(
                    lambda context, make=make_batches: make(input_context=context)
                )
            else:
                batches = make_batches()
            epoch = begin // config.interval
            model.fit(
                batches,
                initial_epoch=epoch,
                epochs=epoch + count,
                steps_per_epoch=length,
                validation_data=held_out,
                callbacks=callbacks,
                verbose=0,
            )


def finish_interval(model, held_out, callbacks):
    """Ends an interval whose last step was saved, but whose evaluation was interrupted.

    Args:
      model: `FlowModel`, whose metrics have the means of the interval.
      held_out: dataset, as for `fit`.
      callbacks: list of those of `fit`.
    """
    means = {m.name: float(m.result()) for m in model.metrics}
    means |= {f"val_{name}": value for name, value in model.evaluate(held_out, return_dict=True, verbose=0).items()}
    for callback in callbacks:
        callback.on_epoch_end(None, means)  # They ask the model for its step.


def prepare():
    """Returns the strategy, the `Experiment` and the lock of its run; wrong flags raise their errors here."""
    config, name = FLAGS.config, config_flag.name()
    if FLAGS.init_weights == "last" and FLAGS.init_from is None:
        raise ValueError("`init_weights`=last: must come with --init_from=RUN, the run whose weights they are.")
    directory = run_lib.check_directory(
        FLAGS.run_dir or pathlib.Path("runs") / (pathlib.Path(name).stem + "_conditional" * FLAGS.conditional)
    )
    sources = config_lib.Sources(FLAGS.data_dir, FLAGS.folder, FLAGS.image_size, FLAGS.conditional)
    command = f"python -m examples.train {shlex.join(sys.argv[1:])}".strip()
    source = initial_weights.find(FLAGS.init_from, FLAGS.init_weights, directory)
    settings = Settings(name, config.values, sources, FLAGS.seed, source, command)
    strategy = strategies.make(FLAGS.strategy, FLAGS.tpu)
    lock = lock_lib.RunLock(directory)
    if (directory / "checkpoints").is_dir():  # Before they are read; in a new directory, when nothing else is refused.
        lock.acquire()
    try:
        opened = experiment.open_experiment(settings, config, directory, strategy)
        opened.run.checkpoints.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        if opened.manager.latest_checkpoint is None and any(opened.run.checkpoints.glob("step-[1-9]*.index")):
            raise BlockingIOError(f"`run_dir`={directory}: another process has trained there meanwhile; run it again.")
        if opened.step > config.steps:
            raise ValueError(
                f"`steps`={config.steps}: the run in {directory} has taken {opened.step}: must be at least as many; "
                "leave it, or name another `run_dir`."
            )
        checkpoints.tidy(opened.run, opened.manager, opened.step)
        settings.write(opened.run.settings)
    except BaseException:
        lock.release()
        raise
    images, resumed = opened.images, opened.manager.latest_checkpoint is not None
    begins = "resuming at" if resumed else "from"
    if source is not None and not resumed:
        begins = f"with the {source.weights} weights of step {source.step} of {source.run}, from"
    names = images.conditioning_names
    listed = f"{', '.join(names[:5])}{', ...' * (len(names) > 5)}"
    print(
        f"{settings.name}: {len(images.train):,} training images of {images.name}, {images.image_shape}"
        f"{f', {len(names)} numbers to condition on ({listed})' * opened.conditional}; "
        f"{count_parameters(opened.model):,} parameters; "
        f"{begins} step {opened.step} of {config.steps}",
        flush=True,
    )
    changed = opened.changed_versions and f"versions have changed: {opened.changed_versions}; last digits may differ"
    for note in (images.notes and f"images: {images.notes}", changed, precision_lib.note(config.flow.compute_dtype)):
        if note:
            print(note, flush=True)
    return strategy, opened, lock


def main(argv):
    command_lib.begin(argv)
    try:
        strategy, opened, lock = prepare()
    except KeyboardInterrupt:
        print("\nstopped; nothing was trained", flush=True)
        sys.exit(130)
    except (ImportError, OSError, RuntimeError, TypeError, ValueError) as error:
        sys.exit(f"error: {error}")
    try:
        train_and_report(strategy, opened)
    finally:
        lock.release()


def train_and_report(strategy, opened):
    """Trains, evaluates, and prints where everything is; ends the program at a stop or an error."""
    config, run, manager = opened.config, opened.run, opened.manager
    began, first_step = time.time(), opened.step
    try:
        train(opened, strategy)
        seconds = time.time() - began
        result, _ = evaluation.evaluate(opened, "test", "python -m examples.train", count=config.test_images)
        run_lib.write(run.result("test"), json.dumps(result, indent=1) + "\n")
    except KeyboardInterrupt:
        print(f"\nstopped; the same command resumes from {manager.latest_checkpoint or 'the start'}", flush=True)
        sys.exit(130)
    except (FloatingPointError, OSError, tf.errors.DataLossError, tf.errors.NotFoundError) as error:
        reason = opened.images.damage() if isinstance(error, tf.errors.OpError) else error
        sys.exit(f"error: {reason}\nlast good checkpoint: {manager.latest_checkpoint}")
    if config.steps > first_step:
        seen = (config.steps - first_step) * config.batch_size
        print(f"{seen:,} images seen in {seconds / 60:.1f} min ({seen / seconds:.0f} images/s, evaluations included)")
    print(
        f"{evaluation.report(result)}\n"
        f"samples:     {max(run.directory.glob('samples_*.png'))}\n"
        f"data:        {run.directory / 'data.png'}\n"
        f"result:      {run.result('test')}\n"
        f"log:         {run.log}; tensorboard --logdir {run.tensorboard}\n"
        f"checkpoint:  {manager.latest_checkpoint}"
    )


if __name__ == "__main__":
    command_lib.run(main, arrange)
