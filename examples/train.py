"""Trains a flow on images.

    python -m examples.train --config=digits [--config.FIELD=VALUE ...] [--config.flow.FIELD=VALUE ...]

A run is its config, data and seed: the same command, run again, resumes it, and more --config.steps train it on, unless
the learning rate decays over the steps; anything else is a new run in another --run_dir, which may begin with the
weights of this one, --init_from=RUN.

It writes to --run_dir: samples_*.png and data.png, log.csv, tensorboard/, checkpoints/, and result_test.json with the
bits/dim on the test images.
"""

import json
import pathlib
import shlex
import sys
import time

import tensorflow as tf
from absl import flags

from examples import (
    checkpoints,
    config_flag,
    evaluation,
    experiment,
    initial_weights,
    strategies,
    together,
    training,
)
from examples import command as command_lib
from examples import config as config_lib
from examples import data as data_lib
from examples import lock as lock_lib
from examples import precision as precision_lib
from examples import run as run_lib
from examples.models import count_parameters
from examples.settings import Settings

FLAGS = flags.FLAGS
_DEFAULT_CONFIG = "digits"
_LOST_LOCK = 120.0  # seconds for which a network file system may keep the lock of a chief that is lost
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
strategies.define()


def arrange(arguments):
    """See `config_flag.arrange`."""
    return config_flag.arrange(arguments, _DEFAULT_CONFIG)


def prepare(workers):
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
    lock = lock_lib.RunLock(directory)
    try:
        strategy, told = strategies.start(workers, settings.alike(), lambda: _begin_with(directory, lock, workers))
        data_lib.check_divides(config.batch_size, strategy.num_replicas_in_sync)
        opened = experiment.open_experiment(settings, config, directory, strategy, workers, told["checkpoint"])
        together.of_all(strategy, workers).check_alike(opened.run.identity, "what it trains on")
        if workers.is_chief:
            _take(opened, settings, lock)
    except BaseException:
        lock.release()
        raise
    if workers.is_chief:
        _announce(opened)
    return strategy, opened, lock


def _begin_with(directory, lock, workers):
    """Returns what the chief tells all workers to begin with, see `rendezvous.meet`."""
    if (directory / "checkpoints").is_dir():  # Before they are read; in a new directory, when nothing else is refused.
        lock.acquire(min(_LOST_LOCK, FLAGS.start_timeout / 2) if workers.several else 0.0)
    return {"checkpoint": checkpoints.newest(directory / "checkpoints")}


def _take(opened, settings, lock):
    """Makes the run's directory that of this training, which begins now."""
    run, steps = opened.run, opened.config.steps
    run.checkpoints.mkdir(parents=True, exist_ok=True)
    lock.acquire()
    if opened.manager.latest_checkpoint is None and any(run.checkpoints.glob("step-[1-9]*.index")):
        raise BlockingIOError(f"`run_dir`={run.directory}: another process has trained there meanwhile; run it again.")
    if opened.step > steps:
        raise ValueError(
            f"`steps`={steps}: the run in {run.directory} has taken {opened.step}: must be at least as many; "
            "leave it, or name another `run_dir`."
        )
    checkpoints.tidy(run, opened.manager, opened.step)
    settings.write(run.settings)


def _announce(opened):
    """Prints what is trained on what."""
    images, settings, config = opened.images, opened.settings, opened.config
    resumed, source = opened.manager.latest_checkpoint is not None, settings.init_from
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


def main(argv):
    command_lib.begin(argv)
    try:
        workers = strategies.workers()
    except ValueError as error:
        sys.exit(f"error: {error}")
    with together.ended(workers):
        _train(workers)


def _train(workers):
    try:
        strategy, opened, lock = prepare(workers)
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
    config, run, manager, chief = opened.config, opened.run, opened.manager, opened.workers.is_chief
    began, first_step = time.time(), opened.step
    try:
        training.train(opened, strategy)
        seconds = time.time() - began
        result, _ = evaluation.evaluate(opened, "test", "python -m examples.train", count=config.test_images)
        if chief:
            run_lib.write(run.result("test"), json.dumps(result, indent=1) + "\n")
    except KeyboardInterrupt:
        if chief:
            print(f"\nstopped; the same command resumes from {manager.latest_checkpoint or 'the start'}", flush=True)
        sys.exit(130)
    except (FloatingPointError, OSError, tf.errors.DataLossError, tf.errors.NotFoundError) as error:
        reason = opened.images.damage() if isinstance(error, tf.errors.OpError) else error
        sys.exit(f"error: {reason}\nlast good checkpoint: {manager.latest_checkpoint}")
    if chief:
        _report(opened, result, seconds, (config.steps - first_step) * config.batch_size)
    together.of_all(strategy, opened.workers).chiefs(0)  # No worker ends before the chief has written everything.


def _report(opened, result, seconds, seen):
    run = opened.run
    if seen > 0:
        print(f"{seen:,} images seen in {seconds / 60:.1f} min ({seen / seconds:.0f} images/s, evaluations included)")
    print(
        f"{evaluation.report(result)}\n"
        f"samples:     {max(run.directory.glob('samples_*.png'))}\n"
        f"data:        {run.directory / 'data.png'}\n"
        f"result:      {run.result('test')}\n"
        f"log:         {run.log}; tensorboard --logdir {run.tensorboard}\n"
        f"checkpoint:  {opened.manager.latest_checkpoint}"
    )


if __name__ == "__main__":
    command_lib.run(main, arrange)
