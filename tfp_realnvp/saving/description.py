"""Distributions as JSON that a person can read, made of the arguments of their constructors."""

import contextlib
import inspect
import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tfp_realnvp.checks import check_distribution
from tfp_realnvp.runtime.variables import late_variable, limited_variables
from tfp_realnvp.saving.keras_objects import check_keras_object, walk
from tfp_realnvp.saving.known_classes import class_of, classes_of, is_ours, name_of
from tfp_realnvp.saving.versions import listed, versions

# The classes that make variables of sizes which are numbers in the description.
_SIZED = tuple(
    f"tfp_realnvp.{name}"
    for name in (
        "ActNorm",
        "ChannelMixing",
        "CouplingNetwork",
        "FlowBatchNorm",
        "PlainNetwork",
        "GlowImage",
        "RealNVPImage",
        "ResidualNetwork",
        "ZeroNetwork",
    )
)

_MOST_BROADCAST = 2**24


def describe(value: Any, path: str = "distribution") -> Any:
    """Returns numbers, strings, lists and dicts of which `build` makes an equal value.

    Args:
      value: a distribution, a bijector, or an argument of one.
      path: str, what `value` is, for messages.

    Raises:
      TypeError: for something that has no such form, e.g. a function.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return describe(value.item(), path)
    if isinstance(value, list | tuple | tf.TensorShape):
        return [describe(v, f"{path}[{i}]") for i, v in enumerate(value)]
    if isinstance(value, dict):
        return {k: describe(v, f"{path}[{k!r}]") for k, v in value.items()}
    if isinstance(value, tf.DType | np.dtype) or (isinstance(value, type) and issubclass(value, np.generic)):
        return {"class": "dtype", "name": tf.as_dtype(value).name}
    if isinstance(value, tf.Variable):
        form = {"shape": value.shape.as_list(), "dtype": value.dtype.name, "trainable": value.trainable}
        return {"class": "Variable", **form, "name": value.name.split(":")[0].split("/")[-1]}
    if isinstance(value, tfp.util.TransformedVariable):
        form = {"variable": describe(value.pretransformed_input, path), "bijector": describe(value.bijector, path)}
        return {"class": "TransformedVariable", **form}
    if isinstance(value, np.ndarray | tf.Tensor):
        return {"class": "Tensor", "dtype": tf.as_dtype(value.dtype).name, "value": np.asarray(value).tolist()}
    if isinstance(value, tf_keras.layers.Layer):
        return {"class": "Keras", "layer": tf_keras.saving.serialize_keras_object(value)}
    parameters = getattr(value, "parameters", None)
    if not isinstance(parameters, Mapping):
        raise TypeError(
            f"`{path}`={value!r}: can't be saved, since it is neither a distribution, a bijector, a part of this "
            "package, a Keras layer, a variable nor plain data; build the flow without it, e.g. with a "
            "`CouplingNetwork` or a Keras layer in place of a function."
        )
    name = name_of(type(value))
    described = {"class": name}
    for key, argument, default in _arguments(type(value), parameters):
        # All arguments of this package, whose defaults may change. Others may lose an argument in a later version, so
        # only those that differ from the default are written.
        if is_ours(name) or argument is not default:
            described[key] = describe(argument, f"{path}.{key}")
    return described


def build(description: Any, custom_objects: Mapping[str, type] | None = None) -> Any:
    """Returns the value that `describe` described; its variables have the shape and dtype, but not the values.

    Nothing in the description is run: it names classes of `known_classes` and `keras_objects`, which are listed there
    because they take plain data.

    Args:
      description: see `describe`.
      custom_objects: dict, name to class, of classes that are neither TFP's nor this package's. Classes in Keras' own
        `tf_keras.saving.custom_object_scope` are known too.

    Raises:
      ValueError: for a class that isn't known. Other errors, of any kind, come from constructors that do not take the
        arguments; `rebuild` makes them one.
    """
    if isinstance(description, list):
        return [build(v, custom_objects) for v in description]
    if not isinstance(description, dict):
        return description
    if "class" not in description:
        return {k: build(v, custom_objects) for k, v in description.items()}
    arguments = dict(description)
    name = arguments.pop("class")
    if name == "dtype":
        return tf.as_dtype(arguments["name"])
    if name == "Tensor":
        dtype = _number_type(arguments["dtype"])
        # TensorFlow ends the process at lists that are nested too deep, and NumPy raises an error.
        return tf.constant(np.array(arguments["value"], dtype.as_numpy_dtype), dtype)
    if name == "Variable":
        shape, dtype = _shape(arguments["shape"]), _number_type(arguments["dtype"])
        options = {"trainable": arguments["trainable"]}
        return late_variable(lambda: tf.zeros(shape, dtype), arguments["name"], shape, dtype, **options)
    if name == "TransformedVariable":
        variable, bijector = (build(arguments[k], custom_objects) for k in ("variable", "bijector"))
        _check_keeps_shape(bijector, variable.shape)
        options = {"trainable": variable.trainable, "name": arguments["variable"]["name"]}
        return tfp.util.TransformedVariable(bijector.forward(variable), bijector, **options)
    if name == "Keras":
        check_keras_object(arguments["layer"], custom_objects)
        return tf_keras.saving.deserialize_keras_object(arguments["layer"], custom_objects)
    if "parameters" in arguments:
        raise ValueError("`parameters` is for base classes, and no argument of a description")
    built = {k: build(v, custom_objects) for k, v in arguments.items()}
    _check_broadcast(built)
    cls = class_of(name, custom_objects or {})
    if getattr(cls, "of_keras", False):  # It builds a layer of Keras 3.
        built["custom_objects"] = custom_objects
    return cls(**built)


def rebuild(
    description: Any,
    custom_objects: Mapping[str, type] | None,
    *,
    source: str,
    saved_by: Any,
    most_variables: int,
    most_bytes: int,
    count_first: bool = False,
) -> tfp.distributions.Distribution:
    """Returns the distribution that a description from a file leads to.

    Args:
      description, custom_objects: see `build`.
      source: str, what the description was read from, for messages.
      saved_by: the versions that wrote it, as the file says.
      most_variables, most_bytes: the most that the distribution's variables may be, and take; each is checked before
        any memory is taken for it.
      count_first: Python bool; count all variables before the first one is made.

    Raises:
      ValueError: if the description leads to no distribution, whatever is wrong with it.
    """
    try:
        for _ in walk(description):  # It raises an error for what is nested too deep.
            pass
        if count_first:
            _count(description, most_variables, most_bytes)
        # A `TransformedVariable` is built by another variable of its size.
        with limited_variables(2 * most_variables, 2 * most_bytes):
            distribution = build(description, custom_objects)
        check_distribution(distribution)
    except Exception as error:  # Constructors of TFP and Keras raise nearly anything for arguments that are wrong.
        reason = error if isinstance(error, ValueError) else repr(error)
        raise ValueError(
            f"{source}: {listed(versions())} builds no distribution of it ({reason}); it was saved by "
            f"{listed(saved_by)}. Load it with these versions or, if it is damaged, copy it anew, or save it once more."
        ) from error
    return distribution


def _count(description: Any, most: int, most_bytes: int) -> None:
    """Raises ValueError if what numbers in a description lead to is more, but for Keras layers, without making it."""
    with limited_variables(most, most_bytes, make=False):
        for _, part in walk(description):
            if isinstance(part, dict) and part.get("class") in ("Variable", *_SIZED):
                build(part)


def check_rebuilds(distribution: tfp.distributions.Distribution, description: Any) -> None:
    """Raises ValueError unless the description leads to as many variables, alike in shape and dtype."""
    parts = (distribution, *distribution.submodules)
    classes = classes_of(parts)
    # Variables of a graph take no memory, and no random numbers from the program. Keras layers, which were built
    # eagerly, can't be built in a graph too.
    keras = any(isinstance(part, tf_keras.layers.Layer) or getattr(part, "of_keras", False) for part in parts)
    with contextlib.nullcontext() if keras else tf.Graph().as_default():
        rebuilt = build(description, classes)
    own, theirs = (
        sorted((v.shape.as_list(), v.dtype.name, v.trainable) for v in d.variables) for d in (distribution, rebuilt)
    )
    if own != theirs:
        raise ValueError(
            f"`distribution`={distribution}: what its constructors' arguments lead to has {len(theirs)} variables, the "
            f"distribution {len(own)}, or of other shapes, so that it could not be loaded; a part that is used in two "
            "places or was changed after it was built can't be saved."
        )


def _arguments(cls: type, parameters: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yields name, value and default of each argument that a constructor was called with."""
    for key, argument in inspect.signature(cls.__init__).parameters.items():  # type: ignore[misc]
        if argument.kind is inspect.Parameter.VAR_KEYWORD:
            yield from ((k, v, inspect.Parameter.empty) for k, v in parameters.get(key, {}).items())
        elif key in parameters and key != "parameters":  # TFP hands them to base classes by that name.
            yield key, parameters[key], argument.default


def _number_type(name: Any) -> tf.DType:
    """Returns the type of this name; raises ValueError unless it is one of numbers or truth values."""
    dtype = tf.as_dtype(name)
    if not (dtype.is_floating or dtype.is_integer or dtype.is_complex or dtype.is_bool):
        raise ValueError(f"dtype {name!r}: must be a type of numbers")
    return dtype


def _shape(value: Any) -> list[int]:
    """Returns the shape of a variable; raises ValueError for what is none. TensorFlow ends the process at many axes."""
    if not isinstance(value, list) or len(value) > 64 or not all(isinstance(n, int) and n >= 0 for n in value):
        raise ValueError(f"shape {value!r}: must be a list of at most 64 numbers of 0 or more")
    return value


def _check_keeps_shape(bijector: Any, shape: tf.TensorShape) -> None:
    """Raises ValueError unless a bijector of a variable is elementwise: others could make much of a small variable."""
    elementwise = isinstance(bijector, tfp.bijectors.Bijector) and bijector.forward_min_event_ndims == 0
    if not elementwise or tf.broadcast_static_shape(shape, bijector.experimental_batch_shape()) != shape:
        raise ValueError(f"bijector {bijector!r} of a variable: must be elementwise and keep the shape {shape}")


def _check_broadcast(arguments: Mapping[str, Any]) -> None:
    """Raises ValueError if arrays among the arguments broadcast to more than they hold by far."""
    arrays = [v for v in arguments.values() if isinstance(v, tf.Tensor | tf.Variable | list)]
    shapes = [tuple(v.shape) if hasattr(v, "shape") else np.shape(v) for v in arrays]
    largest = [max(sizes) for sizes in itertools.zip_longest(*(reversed(shape) for shape in shapes), fillvalue=1)]
    if math.prod(largest) > _MOST_BROADCAST:
        raise ValueError(f"arguments of shapes {shapes} broadcast to more than {_MOST_BROADCAST:,} values")
