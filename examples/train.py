"""Trains a Real NVP on images.

    python -m examples.train --config=digits

The same command again resumes. Writes to --run_dir: samples_*.png and data.png, log.csv, tensorboard/, checkpoints/,
and result.json with the bits/dim on the test images.
"""

import dataclasses
import json
import math
import pathlib
import sys
import time

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from absl import app, flags, logging

from examples import callbacks as cb
from examples import config as config_lib
from examples import data as data_lib
from examples import plots
from examples import run as run_lib
from tfp_realnvp import FlowModel, RealNVPImage

tfd = tfp.distributions

FLAGS = flags.FLAGS
flags.DEFINE_string("config", "digits", f"Experiment: one of {', '.join(config_lib.names())}.")
flags.DEFINE_string("run_dir", None, "Directory of the run. Default: runs/NAME of the config.")
flags.DEFINE_string("data_dir", None, "Directory of prepared TFDS data sets. Default: TFDS's own.")
flags.DEFINE_string("folder", None, "Directory of pictures, for --config=folder.")
flags.DEFINE_integer("image_size", 32, "Pictures of --folder are cut to squares of this side.", lower_bound=1)
flags.DEFINE_integer("steps", None, "Training steps. Default: the config's.", lower_bound=1)
flags.DEFINE_enum("preset", None, ["paper", "released"], "Variant of the flow. Default: the config's, or released.")
flags.DEFINE_integer("seed", 0, "Seed of weights, data order and noise.", lower_bound=0, upper_bound=2**32 - 1)
flags.DEFINE_enum(
    "strategy",
    "default",
    ["default", "mirrored", "tpu"],
    "tf.distribute strategy: mirrored takes all GPUs of this machine.",
)
flags.DEFINE_string("tpu", "", "Name or address of the TPU, for --strategy=tpu.")


def make_strategy():
    """The `tf.distribute` strategy that the flags name."""
    if FLAGS.strategy == "mirrored":
        return tf.distribute.MirroredStrategy()
    if FLAGS.strategy == "tpu":
        try:
            resolver = tf.distribute.cluster_resolver.TPUClusterResolver(FLAGS.tpu)
            tf.config.experimental_connect_to_cluster(resolver)
            tf.tpu.experimental.initialize_tpu_system(resolver)
        except (OSError, ValueError, tf.errors.OpError) as error:  # OSError: no such host.
            raise ValueError(
                f"`tpu`={FLAGS.tpu!r}: no such TPU ({error}); name one with --tpu, or use another --strategy."
            ) from error
        return tf.distribute.TPUStrategy(resolver)
    return tf.distribute.get_strategy()


def build_model(config, images, seed):
    """The flow over `images`' shape, and the compiled model around it."""
    height, width, channels = images.image_shape
    flow = RealNVPImage(channels, levels=images.levels, **config.flow)
    prior = tfd.Sample(tfd.Normal(0.0, 1.0), sample_shape=[height, width, channels])
    distribution = tfd.TransformedDistribution(prior, flow, name="images")
    model = FlowModel(distribution, levels=images.levels, averaging=config.averaging, l2=config.l2, seed=seed)
    rate = (
        tf_keras.optimizers.schedules.CosineDecay(config.learning_rate, config.steps)
        if config.cosine_decay
        else (config.learning_rate)
    )
    model.compile(
        tf_keras.optimizers.Adam(rate, epsilon=1e-8, global_clipnorm=100.0),
        steps_per_execution=config.steps_per_execution,
    )
    return model


def identity(name, config, images, seed):
    """What must be equal for a run to be the same run."""
    return {
        "config": name,
        "data": images.name,
        "splits": images.splits,
        "image_shape": list(images.image_shape),
        "levels": images.levels,
        "flow": dict(config.flow),
        "batch_size": config.batch_size,
        "learning_rate": config.learning_rate,
        "cosine_decay_steps": config.steps if config.cosine_decay else None,
        "averaging": config.averaging,
        "l2": config.l2,
        "flip": config.flip,
        "seed": seed,
    }


def segments(step, steps, interval):
    """Splits the way from `step` to `steps` at multiples of `interval`: (start, length, count) of equal stretches."""
    while step < steps:
        end = min(steps, (step // interval + 1) * interval)
        length = end - step
        count = max(1, (steps - step) // interval) if length == interval else 1
        yield step, length, count
        step += length * count


def train(config, images, model, run, manager):
    """Trains from where the checkpoint left off to the config's steps."""
    start = cb.step_of(model)
    checkpoints = cb.Checkpoints(manager)
    sheets = cb.SampleSheets(run.directory, run.tensorboard / "samples", seed=run.identity["seed"])
    for callback in (checkpoints, sheets):
        callback.set_model(model)
    if start % config.interval:
        checkpoints.resume_interval()
    plots.write_png(run.directory / "data.png", plots.image_sheet(images.train[:64], levels=images.levels))
    if start == 0:
        checkpoints.save()
        print(f"first samples: {sheets.write()}")
    callbacks = [
        cb.Progress(start, config.steps),
        cb.LossLog(run.log, start),
        checkpoints,
        sheets,
        tf_keras.callbacks.TensorBoard(str(run.tensorboard), write_graph=False),
    ]
    held_out = data_lib.eval_batches(images.validation[: config.validation_images], config.batch_size)
    try:
        for begin, length, count in segments(start, config.steps, config.interval):
            first = begin // config.interval
            stream = data_lib.train_batches(
                images.train, config.batch_size, seed=run.identity["seed"], start_step=begin, flip=config.flip
            )
            model.fit(
                stream,
                initial_epoch=first,
                epochs=first + count,
                steps_per_epoch=length,
                validation_data=held_out,
                callbacks=callbacks,
                verbose=0,
            )
    finally:
        checkpoints.release_signals()


def evaluate(config, images, model, run):
    """Writes and returns the result on the test images."""
    test = images.test[: config.test_images]
    bits = model.predict(data_lib.eval_batches(test, config.batch_size), verbose=0).astype(np.float64)
    count = f"all {len(test)}" if len(test) == len(images.test) else f"the first {len(test)} of {len(images.test)}"
    result = {
        "bits_per_dim": float(bits.mean()),
        "standard_error": float(bits.std() / math.sqrt(len(bits))),
        "data": images.name,
        "split": f"{count} test images ({images.splits['test']})",
        "images": len(test),
        "noise_draws": 1,
        "weights": "averaged" if config.averaging else "last",
        "step": cb.step_of(model),
        "command": " ".join(["python -m examples.train", *sys.argv[1:]]),
        "identity": run.identity,
        "versions": {m.__name__: m.__version__ for m in (tf, tfp, tf_keras, np)},
    }
    run.result.write_text(json.dumps(result, indent=1) + "\n")
    return result


def prepare():
    """Data, model and the newest checkpoint, as the flags say; everything that a wrong flag can spoil."""
    config = config_lib.get(FLAGS.config)
    if FLAGS.preset:
        config = dataclasses.replace(config, flow={**config.flow, "preset": FLAGS.preset})
    if FLAGS.steps is not None:
        config = dataclasses.replace(config, steps=FLAGS.steps)
    directory = run_lib.check_directory(FLAGS.run_dir or pathlib.Path("runs") / FLAGS.config)
    images = config.load(config_lib.Sources(FLAGS.data_dir, FLAGS.folder, FLAGS.image_size))
    config.check_images(images)
    tf_keras.utils.set_random_seed(FLAGS.seed)
    run = run_lib.Run(directory, identity(FLAGS.config, config, images, FLAGS.seed))
    with make_strategy().scope():
        model = build_model(config, images, FLAGS.seed)
    checkpoint = tf.train.Checkpoint(model=model, identity=tf.Variable(json.dumps(run.identity)))
    manager = tf.train.CheckpointManager(checkpoint, str(run.checkpoints), max_to_keep=3, checkpoint_name="step")
    resumed = run_lib.restore(run, checkpoint, manager)
    run.checkpoints.mkdir(parents=True, exist_ok=True)  # Now that nothing can be refused any more.
    parameters = sum(int(np.prod(v.shape)) for v in model.distribution.trainable_variables)
    print(
        f"{FLAGS.config}: {len(images.train):,} training images of {images.name}, {images.image_shape}; "
        f"{parameters:,} parameters; {'resuming at' if resumed else 'from'} step {cb.step_of(model)} of "
        f"{config.steps}",
        flush=True,
    )
    return config, images, run, model, manager


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments {argv[1:]}; flags are written --name=value.")
    logging.set_verbosity(logging.WARNING)  # TensorFlow reports every save.
    try:
        config, images, run, model, manager = prepare()
    except (ImportError, OSError, RuntimeError, TypeError, ValueError) as error:
        sys.exit(f"error: {error}")
    began, first_step = time.time(), cb.step_of(model)
    try:
        train(config, images, model, run, manager)
        seconds = time.time() - began
        result = evaluate(config, images, model, run)
    except KeyboardInterrupt:
        print(f"\nstopped; the same command resumes from {manager.latest_checkpoint}", flush=True)
        sys.exit(130)
    except (FloatingPointError, OSError) as error:
        sys.exit(f"error: {error}\nlast good checkpoint: {manager.latest_checkpoint}")
    if config.steps > first_step:
        seen = (config.steps - first_step) * config.batch_size
        print(f"{seen:,} images seen in {seconds / 60:.1f} min ({seen / seconds:.0f} images/s, evaluations included)")
    print(
        f"test: {result['bits_per_dim']:.3f} +- {result['standard_error']:.3f} bits/dim "
        f"({result['data']}; {result['split']}, {result['noise_draws']} noise draw each; {result['weights']} "
        f"weights of step {result['step']})\n"
        f"samples:     {max(run.directory.glob('samples_*.png'))}\n"
        f"data:        {run.directory / 'data.png'}\n"
        f"result:      {run.result}\n"
        f"log:         {run.log}; tensorboard --logdir {run.tensorboard}\n"
        f"checkpoint:  {manager.latest_checkpoint}"
    )


if __name__ == "__main__":
    app.run(main)
