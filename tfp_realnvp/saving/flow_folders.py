"""Saves a distribution to a folder, and loads it again, ready for training."""

import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from google.protobuf.message import DecodeError

from tfp_realnvp.checks import check_bool
from tfp_realnvp.saving.description import check_rebuilds, describe, rebuild
from tfp_realnvp.saving.export import num_variable_bytes, write_saved_model
from tfp_realnvp.saving.signatures import MAX_VALUES, Signatures
from tfp_realnvp.saving.version_folders import new_version, remove_version, version_folders
from tfp_realnvp.saving.versions import listed, versions

_DESCRIPTION = "flow.json"
_FORMAT = 3
_MOST_BYTES = 2**24  # of a description; as objects it takes up to twenty times as much
_REMEDY = "copy the directory anew, or save the flow once more"


def save_flow(
    distribution: tfp.distributions.Distribution,
    directory: Any,
    *,
    levels: int | None = None,
    max_values: int = MAX_VALUES,
    model_card: str | None = None,
    keep_old: bool = False,
) -> str:
    """Saves a distribution over images in one folder: description, weights, and SavedModel.

        DIRECTORY/N/flow.json         the distribution, as a person would write it, and the versions that it comes from
        DIRECTORY/N/variables/        weights, as a TensorFlow checkpoint
        DIRECTORY/N/saved_model.pb    with these, what `export_saved_model` writes

    The folder takes the place of what was saved to DIRECTORY before: N is one more than the last number, it appears
    whole or not at all, and the old folder goes only then, unless `keep_old`. Distributions and bijectors of TFP and of
    this package, Keras layers, variables and constants can be saved. So can other classes, if they have TFP's
    `parameters` and `load_flow` is given the class.

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
      levels, max_values, model_card: see `export_saved_model`.
      keep_old: Python bool; leave the folders of earlier saves, to go back to. `load_flow` and servers take the newest.

    Returns:
      str, DIRECTORY/N.

    Raises:
      TypeError: if something in the distribution can't be described, e.g. a function; the message says where.
      ValueError: if it can't be rebuilt from its description, or `directory` is not on this machine.
      OSError: if nothing can be written there; what was there is unchanged.
    """
    check_bool("keep_old", keep_old)
    signatures = Signatures(distribution, levels=levels, max_values=max_values)
    description = describe(distribution)
    check_rebuilds(distribution, description)
    config = {
        "format": _FORMAT,
        "versions": versions(),
        "event_shape": distribution.event_shape.as_list(),
        "distribution": description,
    }
    text = json.dumps(config, indent=1) + "\n"
    if len(text) > _MOST_BYTES:
        raise ValueError(
            f"`distribution`: its description has {len(text):,} bytes: must have at most {_MOST_BYTES:,}; make large "
            "constants variables with `trainable=False`, which are saved with the weights."
        )
    with new_version(directory, num_variable_bytes(distribution)) as folder:
        (folder / _DESCRIPTION).write_text(text)
        write_saved_model(signatures, folder, model_card)
    *old, saved = version_folders(directory)
    for folder in old:
        if not keep_old and (folder / _DESCRIPTION).exists():
            remove_version(folder)
    return str(saved)


def load_flow(directory: Any, *, custom_objects: Mapping[str, type] | None = None) -> Any:
    """Returns the distribution that `save_flow` saved: it samples, scores and trains as it did, bit for bit.

    Inside a strategy's scope its variables are those of the strategy. TensorFlow compares the weights with the
    checksums in their files.

    A folder from a stranger can be loaded: it runs no code, imports no module and reads no other file, and it takes no
    more memory than a few times its own size. It makes objects of this package, of the classes of TFP and the layers
    of Keras that take plain data, and of classes that you register with Keras or pass in `custom_objects`. Only the
    description and the weights are read, and not `saved_model.pb`, which is a program.

    Args:
      directory: path, as given to `save_flow`; if it holds several version folders, the newest is read.
      custom_objects: dict from name to class, for all other classes; you vouch for what their constructors do with
        arguments from the file.

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
    saved_by = config.get("versions")
    if config.get("format") != _FORMAT:
        raise ValueError(
            f"{folder} was saved in format {config.get('format')}, by {listed(saved_by)}; this is "
            f"{listed(versions())}, which reads format {_FORMAT}: load it with that version of tfp_realnvp."
        )
    weights = str(folder / "variables" / "variables")
    try:
        most_variables, most_bytes = _stored(weights)
        distribution = rebuild(
            config.get("distribution"),
            custom_objects,
            source=str(path),
            saved_by=saved_by,
            most_variables=most_variables,
            most_bytes=most_bytes,
        )
        _read_weights(distribution, weights, folder, saved_by)
    except (tf.errors.OpError, DecodeError, IndexError, OSError) as error:  # IndexError: a file that ends too early.
        reason = getattr(error, "message", error)
        raise ValueError(f"{folder / 'variables'} is damaged ({reason}); {_REMEDY}.") from error
    return distribution


def _stored(weights: str) -> tuple[int, int]:
    """Returns the number of tensors in a checkpoint, and their bytes; raises an error unless they are on the disk."""
    index, data = (pathlib.Path(weights + ending) for ending in (".index", ".data-00000-of-00001"))
    for path in (index, data):
        if not path.is_file():
            raise FileNotFoundError(f"{path.name} is missing")
    others = {path.name for path in index.parent.iterdir()} - {index.name, data.name}
    if others:  # TensorFlow would open other parts of a checkpoint, if the index names them.
        raise OSError(f"{sorted(others)[0]} is no part of it")
    reader = tf.train.load_checkpoint(weights)
    types = reader.get_variable_to_dtype_map()
    sizes = [math.prod(shape) * types[name].size for name, shape in reader.get_variable_to_shape_map().items()]
    if data.stat().st_size < sum(sizes):
        raise OSError(f"{data.name} has {data.stat().st_size:,} bytes of {sum(sizes):,}")
    return len(sizes), sum(sizes)


def _read_weights(
    distribution: tfp.distributions.Distribution, weights: str, folder: pathlib.Path, saved_by: Any
) -> None:
    """Reads a checkpoint into a distribution; raises ValueError unless it has all variables, of the same shapes."""
    try:
        tf.train.Checkpoint(distribution=distribution).read(weights).assert_existing_objects_matched()
    except (AssertionError, ValueError) as error:  # ValueError: a variable of another shape.
        raise ValueError(
            f"{folder}: its weights don't fit the distribution that {listed(versions())} builds of {_DESCRIPTION}, "
            f"which was saved by {listed(saved_by)}; load it with these versions."
        ) from error


def _read(path: pathlib.Path) -> dict[str, Any]:
    """Returns what a description file holds."""
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing: {path.parent} was exported for serving only, or is damaged; what can be loaded is "
            "written by `save_flow(distribution, directory)` or, for a run, `python -m examples.export --run=RUN`."
        )
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(f"{path} has {path.stat().st_size:,} bytes: a description has at most {_MOST_BYTES:,}.")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error}); this is {listed(versions())}; {_REMEDY}.") from error
    if not isinstance(config, dict):
        raise ValueError(f"{path} is damaged (it is no description); this is {listed(versions())}; {_REMEDY}.")
    return config
