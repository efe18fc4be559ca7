"""Saves a distribution to a folder, and loads it again, ready for training."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.checks import check_distribution
from tfp_realnvp.saving.description import build, check_rebuilds, describe
from tfp_realnvp.saving.export import num_variable_bytes, write_saved_model
from tfp_realnvp.saving.signatures import Signatures
from tfp_realnvp.saving.version_folders import new_version, remove_version, version_folders
from tfp_realnvp.version import __version__

_DESCRIPTION = "flow.json"
_FORMAT = 2
_REMEDY = "copy the directory anew, or save the flow once more"


def save_flow(
    distribution: tfp.distributions.Distribution,
    directory: Any,
    *,
    levels: int | None = None,
    model_card: str | None = None,
) -> str:
    """Saves a distribution over images in one folder: description, weights, and SavedModel.

        DIRECTORY/N/flow.json         the distribution, as a person would write it, and the versions that it comes from
        DIRECTORY/N/variables/        weights, as a TensorFlow checkpoint
        DIRECTORY/N/saved_model.pb    with these, what `export_saved_model` writes

    The folder takes the place of what was saved to DIRECTORY before: N is one more than the last number, it appears
    whole or not at all, and the old folder goes only then. Distributions and bijectors of TFP and of this package,
    Keras layers, variables and constants can be saved. So can other classes, if they have TFP's `parameters` and
    `load_flow` is given the class.

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
        prior and a `RealNVPImage`. If a `FlowModel` keeps averages, `model.distribution` has the averaged weights
        inside `model.evaluation_weights()`; outside it has those that training goes on from.
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
    check_rebuilds(distribution, description)
    config = {
        "format": _FORMAT,
        "versions": _versions(),
        "event_shape": distribution.event_shape.as_list(),
        "distribution": description,
    }
    with new_version(directory, num_variable_bytes(distribution)) as folder:
        (folder / _DESCRIPTION).write_text(json.dumps(config, indent=1) + "\n")
        write_saved_model(signatures, folder, model_card)
    *old, saved = version_folders(directory)
    for folder in old:
        if (folder / _DESCRIPTION).exists():
            remove_version(folder)
    return str(saved)


def load_flow(directory: Any, *, custom_objects: Mapping[str, type] | None = None) -> Any:
    """Returns the distribution that `save_flow` saved: it samples, scores and trains as it did, bit for bit.

    Inside a strategy's scope its variables are those of the strategy. TensorFlow compares the weights with the
    checksums in their files.

    Args:
      directory: path, as given to `save_flow`; if it holds several version folders, the newest is read.
      custom_objects: dict from name to class, for classes that are neither TFP's nor this package's.

    Raises:
      FileNotFoundError: if nothing was saved there.
      ValueError: if it is damaged, of another version of the format, or of a class that isn't known.
    """
    folders = version_folders(directory)
    if not folders:
        raise FileNotFoundError(
            f"`directory`={directory}: holds no saved flow; name the directory given to `save_flow`."
        )
    folder = folders[-1]
    path = folder / _DESCRIPTION
    config = _read(path)
    saved_by = _listed(config.get("versions", {}))
    if config.get("format") != _FORMAT:
        raise ValueError(
            f"{folder} was saved in format {config.get('format')}, by {saved_by}; this is {_listed(_versions())}, "
            f"which reads format {_FORMAT}: load it with that version of tfp_realnvp."
        )
    try:
        distribution = build(config.get("distribution"), custom_objects)
        check_distribution(distribution)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: {_listed(_versions())} builds no distribution of it ({error!r}); it was saved by {saved_by}. "
            f"Load it with these versions or, if it is damaged, {_REMEDY}."
        ) from error
    try:
        weights = str(folder / "variables" / "variables")
        tf.train.Checkpoint(distribution=distribution).read(weights).assert_existing_objects_matched()
    except (tf.errors.OpError, IndexError) as error:  # IndexError: a file that ends too early.
        reason = getattr(error, "message", error)
        raise ValueError(f"{folder / 'variables'} is damaged ({reason}); {_REMEDY}.") from error
    except (AssertionError, ValueError) as error:  # ValueError: a variable of another shape.
        raise ValueError(
            f"{folder}: its weights don't fit the distribution that {_listed(_versions())} builds of {_DESCRIPTION}, "
            f"which was saved by {saved_by}; load it with these versions."
        ) from error
    return distribution


def _read(path: pathlib.Path) -> dict[str, Any]:
    """Returns what a description file holds."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{path} is missing: {path.parent} was exported for serving only, or is damaged; `save_flow` writes what "
            "can be loaded."
        ) from error
    except ValueError as error:
        raise ValueError(
            f"{path} is damaged ({error}); copy the directory anew, or save the flow once more."
        ) from error
    if not isinstance(config, dict) or not isinstance(config.get("versions", {}), dict):
        raise ValueError(
            f"{path} is damaged (it is no description); copy the directory anew, or save the flow once more."
        )
    return config


def _versions() -> dict[str, str]:
    return {
        "tfp_realnvp": __version__,
        "tensorflow": tf.__version__,
        "tensorflow_probability": tfp.__version__,
    }


def _listed(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())
