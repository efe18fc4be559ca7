"""Distributions as JSON that a person can read, made of the arguments of their constructors."""

import inspect
import types

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

tfb, tfd = tfp.bijectors, tfp.distributions


def parameters_of(arguments):
    """What a constructor keeps of `locals()`, so that `describe` can write it; not tracked as state by TensorFlow."""
    kept = {k: v for k, v in arguments.items() if k not in ("self", "__class__")}
    return types.MappingProxyType(kept)


def describe(value, path="distribution"):
    """Returns what `build` makes an equal value of: numbers, strings, lists and dicts.

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
    if not isinstance(parameters, dict | types.MappingProxyType):
        raise TypeError(
            f"`{path}`={value!r}: can't be saved, since it is neither a distribution, a bijector, a part of this "
            "package, a Keras layer, a variable nor plain data; build the flow without it, e.g. with a "
            "`CouplingNetwork` or a Keras layer in place of a function."
        )
    name = _name_of(type(value))
    described = {"class": name}
    for key, argument, default in _arguments(type(value), parameters):
        # All of ours, whose defaults may change; of others, only what differs, since they may drop an argument.
        if name.startswith("tfp_realnvp.") or argument is not default:
            described[key] = describe(argument, f"{path}.{key}")
    return described


def build(description, custom_objects=None):
    """Returns the value that `describe` described; of its variables only shape and dtype are the same.

    Args:
      description: see `describe`.
      custom_objects: dict, name to class, of classes that are neither TFP's nor this package's; Keras' own way to tell
        of classes, `tf_keras.saving.custom_object_scope`, does too.

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


def _arguments(cls, parameters):
    """Yields name, value and default of each argument that a constructor was called with."""
    for key, argument in inspect.signature(cls.__init__).parameters.items():
        if argument.kind is inspect.Parameter.VAR_KEYWORD:
            yield from ((k, v, inspect.Parameter.empty) for k, v in parameters.get(key, {}).items())
        elif key in parameters and key != "parameters":  # By that name TFP hands them to base classes.
            yield key, parameters[key], argument.default


def _namespaces():
    import tfp_realnvp  # Whole by now; this module is a part of it.

    return {"tfd": tfd, "tfb": tfb, "tfp_realnvp": tfp_realnvp}


def _name_of(cls):
    for base in cls.__mro__[:2]:  # TFP makes objects of a base class, e.g. `_Chain` of `Chain`.
        for prefix, namespace in _namespaces().items():
            public = getattr(namespace, base.__name__.lstrip("_"), None)
            if isinstance(public, type) and (public is cls or issubclass(public, cls)):
                return f"{prefix}.{public.__name__}"
    return f"{cls.__module__}.{cls.__qualname__}"


def _class(name, custom_objects):
    given = tf_keras.saving.get_registered_object(name, custom_objects)
    if given is not None:
        return given
    prefix, _, rest = name.partition(".")
    cls = getattr(_namespaces().get(prefix), rest, None)
    if isinstance(cls, type):
        return cls
    raise ValueError(f"class {name!r} is not known: pass `custom_objects`={{{name!r}: the class}}.")
