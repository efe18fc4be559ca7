"""Distributions on disk, to be loaded as what they were: real ones, that train on."""

import contextlib
import json

import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tfp_realnvp.description import build, describe
from tfp_realnvp.serving import variables_size, write_saved_model
from tfp_realnvp.signatures import Signatures
from tfp_realnvp.version_folders import new_version, remove, verify, versions

_CONFIG = "flow.json"
_FORMAT = 1


def save_flow(distribution, directory, *, levels=None, model_card=None):
    """Saves a distribution over images, in one folder: configuration, weights, and SavedModel.

        DIRECTORY/N/flow.json         the distribution, as a person would write it, and the versions that it comes from
        DIRECTORY/N/variables/        weights, as a TensorFlow checkpoint
        DIRECTORY/N/saved_model.pb    with these, what `export_saved_model` writes
        DIRECTORY/N/SHA256SUMS        of all files; `sha256sum -c` checks them too

    Takes the place of what was saved to DIRECTORY before: N, one more than the last, appears whole or not at all, and
    only then the old folder goes. Saved are distributions and bijectors of TFP and of this package, Keras layers,
    variables and constants. Other classes are if they have TFP's `parameters`, and `load_flow` is told of them.

    >>> flow = RealNVPImage(channels=1, num_scales=1, width=4, residual_blocks=0)
    >>> prior = tfd.Sample(tfd.Normal(0.0, 1.0), sample_shape=[4, 4, 1])
    >>> images = tfd.TransformedDistribution(prior, flow)
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = save_flow(images, directory)
    ...     loaded = load_flow(directory)
    >>> pixels = images.sample(2, seed=(0, 1))
    >>> bool(tf.reduce_all(loaded.sample(2, seed=(0, 1)) == pixels))
    True

    Args:
      distribution: `tfd.Distribution` with a static event shape [H, W, C], e.g. a `tfd.TransformedDistribution` of a
        prior and a `RealNVPImage`. Of a `FlowModel` with averages: `model.distribution` inside
        `model.evaluation_weights()` for the averaged weights, outside for those that training goes on from.
      directory: path.
      levels, model_card: see `export_saved_model`.

    Returns:
      str, DIRECTORY/N.

    Raises:
      TypeError: if something in the distribution can't be described, e.g. a function; the message says where.
      ValueError: if it can't be rebuilt from its description, or `directory` is not on this machine.
      OSError: if nothing can be written there; what was there is unchanged.
    """
    signatures = Signatures(distribution, levels=levels)
    description = describe(distribution)
    _check_rebuilds(distribution, description)
    config = {
        "format": _FORMAT,
        "versions": _versions(),
        "event_shape": distribution.event_shape.as_list(),
        "distribution": description,
    }
    with new_version(directory, variables_size(distribution)) as folder:
        (folder / _CONFIG).write_text(json.dumps(config, indent=1) + "\n")
        write_saved_model(signatures, folder, model_card)
    *old, saved = versions(directory)
    for folder in old:
        if (folder / _CONFIG).exists():
            remove(folder)
    return str(saved)


def load_flow(directory, *, custom_objects=None):
    """Returns the distribution that `save_flow` saved: it samples, scores and trains as it did, bit for bit.

    Under a strategy's scope its variables are those of the strategy. Every byte is checked first.

    Args:
      directory: path, that of `save_flow`; of several folders in it the newest is read.
      custom_objects: dict from name to class, for classes that are neither TFP's nor this package's.

    Raises:
      FileNotFoundError: if there is none.
      ValueError: if it is damaged, of another version of the format, or of a class that isn't known.
    """
    folders = versions(directory)
    if not folders:
        raise FileNotFoundError(
            f"`directory`={directory}: holds no saved flow; name the directory given to `save_flow`."
        )
    folder = folders[-1]
    if not (folder / _CONFIG).exists():
        raise FileNotFoundError(
            f"{folder / _CONFIG} is missing: {folder} was exported for serving only, or is damaged; `save_flow` writes "
            "what can be loaded."
        )
    verify(folder)
    config = json.loads((folder / _CONFIG).read_text())
    if config.get("format") != _FORMAT:
        raise ValueError(
            f"{folder} was saved in format {config.get('format')}, by {_listed(config.get('versions', {}))}; this is "
            f"{_listed(_versions())}, which reads format {_FORMAT}: load it with that version of tfp_realnvp."
        )
    distribution = build(config["distribution"], custom_objects)
    try:
        weights = str(folder / "variables" / "variables")
        tf.train.Checkpoint(distribution=distribution).read(weights).assert_existing_objects_matched()
    except (AssertionError, ValueError) as error:  # ValueError: of another shape.
        raise ValueError(
            f"{folder}: its weights don't fit the distribution that {_listed(_versions())} builds of {_CONFIG}, which "
            f"was saved by {_listed(config['versions'])}; load it with these versions."
        ) from error
    return distribution


def _check_rebuilds(distribution, description):
    """Raises unless the description leads to as many variables, alike in shape and dtype."""
    parts = (distribution, *distribution.submodules)
    classes = {f"{type(part).__module__}.{type(part).__qualname__}": type(part) for part in parts}
    # In a graph variables take no memory, and no random numbers from the program; Keras can't be in both worlds.
    keras = any(isinstance(part, tf_keras.layers.Layer) for part in parts)
    with contextlib.nullcontext() if keras else tf.Graph().as_default():
        rebuilt = build(description, classes)
    ours, theirs = (sorted(_form(v) for v in d.variables) for d in (distribution, rebuilt))
    if ours != theirs:
        raise ValueError(
            f"`distribution`={distribution}: what its constructors' arguments lead to has {len(theirs)} variables, the "
            f"distribution {len(ours)}, or of other shapes, so that it could not be loaded; a part that is used in two "
            "places or was changed after it was built can't be saved."
        )


def _form(variable):
    return variable.shape.as_list(), variable.dtype.name, variable.trainable


def _versions():
    import tfp_realnvp  # Whole by now; this module is a part of it.

    packages = {"tfp_realnvp": tfp_realnvp, "tensorflow": tf, "tensorflow_probability": tfp}
    return {name: package.__version__ for name, package in packages.items()}


def _listed(versions):
    return ", ".join(f"{name} {version}" for name, version in versions.items())
