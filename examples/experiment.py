"""Builds a run from its settings: its data, its model, and its newest checkpoint."""

import dataclasses
import json
import pathlib

import tensorflow as tf
import tf_keras

from examples import checkpoints, exported_run, initial_weights
from examples import config as config_lib
from examples import run as run_lib
from examples.data import ImageData
from examples.models import build_model, check_distribution, form_of, step_of
from examples.settings import Settings, config_of
from examples.versions import versions
from examples.workers import ALONE, Workers
from tfp_realnvp import FlowModel, load_flow


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Everything that a run works with; `model` has the state of the newest checkpoint of `manager`, or is new.

    `changed_versions` says which versions differ from those that wrote the checkpoint. The model of an export has its
    weights and can't be trained on; there `exported` takes the place of `manager`.
    """

    settings: Settings
    config: config_lib.Config
    images: ImageData
    model: FlowModel
    run: run_lib.Run
    manager: tf.train.CheckpointManager  # None for an export.
    changed_versions: str = ""
    exported: exported_run.ExportedRun | None = None
    workers: Workers = ALONE

    @property
    def step(self):
        """How many training steps were taken."""
        return step_of(self.model) if self.exported is None else self.exported.step

    @property
    def seconds(self):
        """How long the training took, until the checkpoint."""
        if self.exported is not None:
            return self.exported.seconds
        return float(self.manager.checkpoint.seconds.numpy())

    @property
    def conditional(self):
        return bool(self.images.conditioning_names)


def open_experiment(settings, config, directory, strategy=None, workers=ALONE, newest=None):
    """Returns the `Experiment` that `settings` and the directory of its run describe; writes nothing.

    Args:
      settings: `Settings`.
      config: `Config` of these settings.
      directory: str or path, directory of the run; it need not exist yet.
      strategy: `tf.distribute` strategy, or None for the default one.
      workers, newest: see `checkpoints.manager`.

    Raises:
      ImportError, OSError, RuntimeError, TypeError, ValueError: if settings, data or a checkpoint are wrong or damaged;
        the message names them.
    """
    images = _load(settings, config)
    tf_keras.utils.set_random_seed(settings.seed)
    run = run_lib.Run(pathlib.Path(directory), _identity(settings, config, images))
    # Settings that somebody else wrote must not lead to a model of any size.
    limit = checkpoints.no_larger_than_saved(run)
    with (strategy or tf.distribute.get_strategy()).scope(), limit:
        model = build_model(config, form_of(images), settings.seed)
    checkpoint = tf.train.Checkpoint(
        model=model,
        identity=tf.Variable(json.dumps(run.identity)),
        seconds=tf.Variable(0.0, dtype=tf.float64),
        log=tf.Variable(""),  # See `examples.logs.LossLog`.
        interval=tf.Variable([0, 0], dtype=tf.int64),  # See `examples.callbacks.Checkpoints`.
    )
    manager = checkpoints.manager(run, checkpoint, workers, newest)
    newest = manager.latest_checkpoint
    changed_versions = "" if newest is None else checkpoints.restore(run, checkpoint, newest)
    if newest is None and settings.init_from is not None:
        initial_weights.assign(model, settings.init_from, config, form_of(images))
    return Experiment(settings, config, images, model, run, manager, changed_versions, workers=workers)


def open_run(directory, *, data_dir=None, folder=None, config_file=None, strategy=None, workers=ALONE, newest=None):
    """Returns the `Experiment` of a trained run; raises as `open_experiment` does, or if there is no checkpoint.

    Args:
      directory: str or path, directory of the run, or of its export.
      data_dir, folder: see `Sources`, where the data are now; None if they are where they were in training.
      config_file: path of the config's file, for a run whose config is the user's own; see `config_of`.
      strategy, workers: see `open_experiment`.
      newest: str, the checkpoint, if the chief has said so; None for the newest one.
    """
    exported = exported_run.find(directory)
    settings = exported.settings if exported else Settings.read(pathlib.Path(directory) / run_lib.SETTINGS)
    moved = {name: path for name, path in (("data_dir", data_dir), ("folder", folder)) if path is not None}
    settings = dataclasses.replace(settings, sources=dataclasses.replace(settings.sources, **moved))
    config = config_of(settings, config_file)
    if exported:
        return _open_export(exported, settings, config, directory, strategy, workers)
    newest = newest or checkpoints.newest(pathlib.Path(directory) / "checkpoints")
    opened = open_experiment(settings, config, directory, strategy, workers, newest)
    if opened.manager.latest_checkpoint is None:
        raise FileNotFoundError(f"`run`={directory}: holds no checkpoint; train it first: {settings.command}")
    try:
        opened.model.check_finite()
    except ValueError as error:
        raise ValueError(f"checkpoint {opened.manager.latest_checkpoint}: {error}") from error
    return opened


def _open_export(exported, settings, config, directory, strategy, workers):
    """Returns the `Experiment` of an `ExportedRun`, with its weights."""
    images = _load(settings, config)
    identity = _identity(settings, config, images)
    checkpoints.check_identity(f"export {directory}", exported.identity, identity, "name the data that it was made of")
    with (strategy or tf.distribute.get_strategy()).scope():
        distribution = load_flow(directory)
        try:
            check_distribution(distribution, config.flow, form_of(images))
            model = FlowModel(distribution, levels=images.levels, dequantize=images.whole, seed=settings.seed)
            model.check_finite()
        except ValueError as error:
            raise ValueError(f"`run`={directory}: {error}") from error
    run = run_lib.Run(pathlib.Path(directory), identity)
    return Experiment(settings, config, images, model, run, None, exported=exported, workers=workers)


def _load(settings, config):
    """Returns the `ImageData` of a run, checked."""
    config.check()
    images = config.load(settings.sources)
    _check_data(images, settings)
    config.check_images(images)
    return images


def _check_data(images, settings):
    """Raises an error unless what a config has loaded is images, with conditioning if the flags ask for it."""
    if not isinstance(images, ImageData):
        raise TypeError(
            f"`load` of the config {settings.name} returned {images!r}: must be an `examples.data.ImageData`, see the "
            "README's example."
        )
    if settings.sources.conditional and not images.conditioning_names:
        raise ValueError(
            f"`conditional`=True: `load` of the config {settings.name} gave no conditioning; let it return images with "
            "`conditioning` and `conditioning_names` where `sources.conditional` is set, or leave the flag out."
        )


def _identity(settings, config, images):
    """Returns what must be equal for two runs to be the same run."""
    return {
        "config": settings.name,
        "data": images.name,
        "splits": images.splits,
        "images": [len(images.train), len(images.validation), len(images.test)],
        "preprocessing": images.preprocessing,
        "conditioning": list(images.conditioning_names),
        "image_shape": list(images.image_shape),
        "levels": images.levels,
        # All arguments but one, which changes no numbers.
        "flow": {k: v for k, v in config.values["flow"].items() if k != "recompute_gradients"},
        "batch_size": config.batch_size,
        "optimizer": config.optimizer,
        "learning_rate": config.learning_rate,
        "clip_norm": config.clip_norm,
        "warmup_steps": config.warmup_steps,
        "cosine_decay_steps": config.steps if config.cosine_decay else None,
        "averaging": config.averaging,
        "l2": config.l2,
        "flip": config.flip,
        "seed": settings.seed,
        "init_from": None if settings.init_from is None else dataclasses.asdict(settings.init_from),
        "versions": versions(),
    }
