"""Distributions as JSON that a person can read, made of the arguments of their constructors."""

import contextlib
import functools
import inspect
import types
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

_ours: dict[str, type] = {}


def register(*classes: type) -> None:
    """Makes classes of this package known, by their public names."""
    _ours.update({f"tfp_realnvp.{cls.__name__}": cls for cls in classes})


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
    name = _name_of(type(value))
    described = {"class": name}
    for key, argument, default in _arguments(type(value), parameters):
        # All arguments of this package, whose defaults may change. Others may lose an argument in a later version, so
        # only those that differ from the default are written.
        if name in _ours or argument is not default:
            described[key] = describe(argument, f"{path}.{key}")
    return described


def build(description: Any, custom_objects: Mapping[str, type] | None = None) -> Any:
    """Returns the value that `describe` described; its variables have the shape and dtype, but not the values.

    Args:
      description: see `describe`.
      custom_objects: dict, name to class, of classes that are neither TFP's nor this package's. Classes in Keras' own
        `tf_keras.saving.custom_object_scope` are known too.

    Raises:
      ValueError: for a class that isn't known.
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
        return tf.constant(arguments["value"], arguments["dtype"])
    if name == "Variable":
        zeros = tf.zeros(arguments["shape"], arguments["dtype"])
        return tf.Variable(zeros, trainable=arguments["trainable"], name=arguments["name"])
    if name == "TransformedVariable":
        variable, bijector = (build(arguments[k], custom_objects) for k in ("variable", "bijector"))
        options = {"trainable": variable.trainable, "name": arguments["variable"]["name"]}
        return tfp.util.TransformedVariable(bijector.forward(variable), bijector, **options)
    if name == "Keras":
        return tf_keras.saving.deserialize_keras_object(arguments["layer"], custom_objects)
    return _class(name, custom_objects or {})(**{k: build(v, custom_objects) for k, v in arguments.items()})


def check_rebuilds(distribution: tfp.distributions.Distribution, description: Any) -> None:
    """Raises ValueError unless the description leads to as many variables, alike in shape and dtype."""
    parts = (distribution, *distribution.submodules)
    classes = {f"{type(part).__module__}.{type(part).__qualname__}": type(part) for part in parts}
    # Variables of a graph take no memory, and no random numbers from the program. Keras layers, which were built
    # eagerly, can't be built in a graph too.
    keras = any(isinstance(part, tf_keras.layers.Layer) for part in parts)
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


@functools.cache
def _tfp_classes() -> Mapping[str, type]:
    """The public classes of TFP by name, e.g. "tfd.Normal"."""
    found: dict[str, type] = {}
    for prefix, namespace in (("tfd", tfp.distributions), ("tfb", tfp.bijectors)):
        found |= {f"{prefix}.{name}": cls for name, cls in vars(namespace).items() if isinstance(cls, type)}
    return types.MappingProxyType(found)


def _name_of(cls: type) -> str:
    for name, public in {**_ours, **_tfp_classes()}.items():
        # If a part is no composite tensor, TFP makes an object of the class `_Chain` of which `Chain` is a subclass.
        if public is cls or (cls in public.__bases__ and cls.__name__ == f"_{public.__name__}"):
            return name
    return f"{cls.__module__}.{cls.__qualname__}"


def _class(name: str, custom_objects: Mapping[str, type]) -> type:
    found = tf_keras.saving.get_registered_object(name, custom_objects) or _ours.get(name) or _tfp_classes().get(name)
    if found is None:
        raise ValueError(f"class {name!r} is not known: pass `custom_objects`={{{name!r}: the class}}.")
    return found
