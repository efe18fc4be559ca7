"""Builds a run from its settings: its data, its model, and its newest checkpoint."""

import dataclasses
import json
import pathlib

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from examples import checkpoints, json_files
from examples import config as config_lib
from examples import run as run_lib
from examples.data import ImageData
from examples.versions import versions
from tfp_realnvp import Adam, FlowModel, RealNVPImage

tfd = tfp.distributions


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the flags of `examples.train` say about a run.

    Attributes:
      config: name of the config.
      sources: where the data come from.
      preset, steps: values that replace the config's, or None.
      seed: seed of weights, data order and noise.
      command: the command, as it was typed.
    """

    config: str
    sources: config_lib.Sources
    preset: str | None = None
    steps: int | None = None
    seed: int = 0
    command: str = ""

    def write(self, path):
        """Writes the settings as JSON, for the other commands to read."""
        run_lib.write(path, json.dumps(dataclasses.asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, path):
        """Returns the settings in a file; raises ValueError or OSError that names the file if it holds none."""
        try:
            fields = json_files.read(path)
            return cls(**{**fields, "sources": config_lib.Sources(**fields["sources"])})
        except (FileNotFoundError, NotADirectoryError) as error:
            raise type(error)(
                f"`run`={path.parent}: no run of examples.train, which would have {path.name}; name a run's directory, "
                "e.g. runs/digits."
            ) from error
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{path} is damaged ({error}); run the command of the training once more.") from error


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Everything that a run works with; `model` has the state of the newest checkpoint of `manager`, or is new.

    `changed_versions` says which versions differ from those that wrote the checkpoint.
    """

    settings: Settings
    config: config_lib.Config
    images: ImageData
    model: FlowModel
    run: run_lib.Run
    manager: tf.train.CheckpointManager
    changed_versions: str = ""

    @property
    def step(self):
        """How many training steps were taken."""
        return int(self.model.optimizer.iterations.numpy())

    @property
    def conditional(self):
        return bool(self.images.conditioning_names)


def open_experiment(settings, directory, strategy=None, recompute_gradients=None):
    """Returns the `Experiment` that `settings` and the directory of its run describe; writes nothing.

    Args:
      settings: `Settings`.
      directory: str or path, directory of the run; it need not exist yet.
      strategy: `tf.distribute` strategy, or None for the default one.
      recompute_gradients: see `RealNVPImage`; None takes the config's value. It does not change the run's identity.

    Raises:
      ImportError, OSError, RuntimeError, TypeError, ValueError: if settings, data or a checkpoint are wrong or damaged;
        the message names them.
    """
    config = config_lib.get(settings.config)
    if settings.preset:
        config = dataclasses.replace(config, flow={**config.flow, "preset": settings.preset})
    if recompute_gradients is not None:
        config = dataclasses.replace(config, flow={**config.flow, "recompute_gradients": recompute_gradients})
    if settings.steps is not None:
        config = dataclasses.replace(config, steps=settings.steps)
    images = config.load(settings.sources)
    config.check_images(images)
    tf_keras.utils.set_random_seed(settings.seed)
    run = run_lib.Run(pathlib.Path(directory), _identity(settings, config, images))
    with (strategy or tf.distribute.get_strategy()).scope():
        model = build_model(config, images, settings.seed)
    checkpoint = tf.train.Checkpoint(
        model=model,
        identity=tf.Variable(json.dumps(run.identity)),
        seconds=tf.Variable(0.0, dtype=tf.float64),
        log=tf.Variable(""),  # See `examples.callbacks.LossLog`.
    )
    manager = checkpoints.manager(run, checkpoint)
    newest = manager.latest_checkpoint
    changed_versions = "" if newest is None else checkpoints.restore(run, checkpoint, newest)
    return Experiment(settings, config, images, model, run, manager, changed_versions)


def open_run(directory, data_dir=None):
    """Returns the `Experiment` of a trained run; raises as `open_experiment` does, or if there is no checkpoint.

    Args:
      directory: str or path, directory of the run.
      data_dir: where the data are now; None if they are where they were in training.
    """
    settings = Settings.read(pathlib.Path(directory) / run_lib.SETTINGS)
    sources = settings.sources if data_dir is None else dataclasses.replace(settings.sources, data_dir=data_dir)
    opened = open_experiment(dataclasses.replace(settings, sources=sources), directory)
    if opened.manager.latest_checkpoint is None:
        raise FileNotFoundError(f"`run`={directory}: holds no checkpoint; train it first: {settings.command}")
    try:
        opened.model.check_finite()
    except ValueError as error:
        raise ValueError(f"checkpoint {opened.manager.latest_checkpoint}: {error}") from error
    return opened


def build_model(config, images, seed):
    """Returns a compiled `FlowModel` with new weights, of a `Config` and for the images of an `ImageData`."""
    height, width, channels = images.image_shape
    conditioning_size = len(images.conditioning_names) or None
    flow = RealNVPImage(channels, levels=images.levels, conditioning_size=conditioning_size, **config.flow)
    prior = tfd.Sample(tfd.Normal(0.0, 1.0), sample_shape=[height, width, channels])
    model = FlowModel(
        tfd.TransformedDistribution(prior, flow, name="images"),
        levels=images.levels,
        dequantize=images.whole,
        averaging=config.averaging,
        l2=config.l2,
        seed=seed,
    )
    rate = config.learning_rate
    if config.cosine_decay:
        rate = tf_keras.optimizers.schedules.CosineDecay(rate, config.steps)
    model.compile(
        Adam(rate, epsilon=1e-8, global_clipnorm=100.0),
        steps_per_execution=config.steps_per_execution,
    )
    return model


def _identity(settings, config, images):
    """Returns what must be equal for two runs to be the same run."""
    return {
        "config": settings.config,
        "data": images.name,
        "splits": images.splits,
        "preprocessing": images.preprocessing,
        "conditioning": list(images.conditioning_names),
        "image_shape": list(images.image_shape),
        "levels": images.levels,
        "flow": {k: v for k, v in config.flow.items() if k != "recompute_gradients"},  # It changes no numbers.
        "batch_size": config.batch_size,
        "learning_rate": config.learning_rate,
        "cosine_decay_steps": config.steps if config.cosine_decay else None,
        "averaging": config.averaging,
        "l2": config.l2,
        "flip": config.flip,
        "seed": settings.seed,
        "versions": versions(),
    }


def count_parameters(model):
    """Returns the number of trainable parameters."""
    return sum(int(np.prod(v.shape)) for v in model.distribution.trainable_variables)
