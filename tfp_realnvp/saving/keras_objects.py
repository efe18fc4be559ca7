"""Which objects of either Keras a file may name: Keras itself imports any module and returns any function in it."""

import graphlib
from collections.abc import Iterator, Mapping
from typing import Any

import tf_keras

from tfp_realnvp.saving.known_classes import registered

_LAYERS = frozenset(
    "Activation Add AlphaDropout Average AveragePooling1D AveragePooling2D AveragePooling3D BatchNormalization "
    "Concatenate Conv1D Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose Cropping1D Cropping2D "
    "Cropping3D Dense DepthwiseConv1D DepthwiseConv2D Dot Dropout ELU Flatten GaussianDropout GaussianNoise "
    "GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D GlobalMaxPooling1D GlobalMaxPooling2D "
    "GlobalMaxPooling3D GroupNormalization Identity InputLayer LayerNormalization LeakyReLU Masking Maximum "
    "MaxPooling1D MaxPooling2D MaxPooling3D Minimum MultiHeadAttention Multiply PReLU Permute ReLU RepeatVector "
    "Rescaling Reshape SeparableConv1D SeparableConv2D Softmax SpatialDropout1D SpatialDropout2D SpatialDropout3D "
    "Subtract ThresholdedReLU UnitNormalization UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D "
    "ZeroPadding3D".split()
)
_ACTIVATIONS = frozenset(
    "elu exponential gelu hard_sigmoid linear mish relu selu sigmoid softmax softplus softsign swish tanh".split()
)
_INITIALIZERS = frozenset(
    "Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity LecunNormal LecunUniform Ones "
    "RandomNormal RandomUniform TruncatedNormal VarianceScaling Zeros".split()
)
_REGULARIZERS = frozenset("L1 L1L2 L2".split())
_CONSTRAINTS = frozenset("MaxNorm MinMaxNorm NonNeg RadialConstraint UnitNorm".split())
_OPTIMIZERS = frozenset("Adadelta Adafactor Adagrad Adam AdamW Adamax Ftrl Lion Nadam RMSprop SGD".split())
_LEGACY_OPTIMIZERS = frozenset("Adadelta Adagrad Adam Adamax Ftrl Nadam RMSprop SGD".split())
_SCHEDULES = frozenset(
    "CosineDecay CosineDecayRestarts ExponentialDecay InverseTimeDecay PiecewiseConstantDecay PolynomialDecay".split()
)

_MOST_NESTED = 16
_TENSOR_OF_KERAS_3 = "__keras_tensor__"  # Shape, dtype and history of what goes from layer to layer.

# Keras' name of a module -> the classes that may be named with it.
CLASSES: Mapping[str, frozenset[str]] = {
    "keras": frozenset({"Sequential"}),
    "keras.layers": _LAYERS,
    "keras.src.engine.functional": frozenset({"Functional"}),
    "keras.initializers": _INITIALIZERS,
    "keras.regularizers": _REGULARIZERS,
    "keras.constraints": _CONSTRAINTS,
    "keras.mixed_precision": frozenset({"Policy"}),
    "keras.optimizers": _OPTIMIZERS,
    "keras.optimizers.legacy": _LEGACY_OPTIMIZERS,
    "keras.optimizers.schedules": _SCHEDULES,
    "keras.src.mixed_precision.loss_scale_optimizer": frozenset({"LossScaleOptimizer", "LossScaleOptimizerV3"}),
}
# What Keras 3 has besides.
CLASSES_OF_KERAS_3: Mapping[str, frozenset[str]] = {
    "keras": frozenset({"DTypePolicy"}),
    "keras.src.models.functional": frozenset({"Functional"}),
    "keras.optimizers": frozenset({"Lamb", "LossScaleOptimizer", "Muon", "ScheduleFreeAdamW"}),
}
# How the keys of a layer's configuration end -> the functions and classes that they may name by a string.
NAMES: Mapping[str, frozenset[str]] = {
    "activation": _ACTIVATIONS,
    "initializer": _INITIALIZERS | {"ones", "zeros"},
    "regularizer": _REGULARIZERS | {"l1", "l1_l2", "l2"},
    "constraint": _CONSTRAINTS,
}


def check_keras_object(config: Any, custom_objects: Mapping[str, Any] | None = None, keras: Any = tf_keras) -> None:
    """Raises ValueError unless Keras may make an object of `config`: all that it names is known and takes plain data.

    Known are the layers, initializers, regularizers, constraints, optimizers and learning rate schedules of Keras that
    are listed in this module, its activations, what the user has registered with Keras, and `custom_objects`.

    Args:
      config: what `tf_keras.saving.serialize_keras_object` returns, or anything else from a file.
      custom_objects: dict, name to class or function.
      keras: `tf_keras` or Keras 3, which will make the object.
    """
    for key, value in walk(config):
        if isinstance(value, dict) and ("class_name" in value or "compile_config" in value):
            _check_class(value, custom_objects, keras)
        elif isinstance(value, str):
            ending = key.rpartition("_")[2]
            if ending in NAMES and value not in NAMES[ending] and registered(value, custom_objects, keras) is None:
                raise _refused(f"`{key}`={value!r}", value, keras)


def walk(config: Any) -> Iterator[tuple[str, Any]]:
    """Yields the key and the value of everything that JSON holds; those of a list have the key of the list.

    Raises:
      ValueError: for lists that are nested too deep, at which TensorFlow ends the process.
    """
    found: list[tuple[str, Any, int]] = [("", config, 0)]
    while found:
        key, value, depth = found.pop()
        yield key, value
        if depth > _MOST_NESTED:
            raise ValueError(f"lists are nested more than {_MOST_NESTED} deep")
        if isinstance(value, dict):
            found += [(str(inner), entry, 0) for inner, entry in value.items()]
        elif isinstance(value, list | tuple):
            found += [(key, entry, depth + 1) for entry in value]


def _check_class(config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None, keras: Any) -> None:
    name, module = config.get("class_name"), config.get("module")
    name_in_registry = config.get("registered_name", name)
    if name == _TENSOR_OF_KERAS_3 and keras is not tf_keras:
        return
    if name == "function":
        function = config.get("config")
        found, ours = _in_registry(function, keras), registered(function, custom_objects, keras)
        own = module == "builtins" and function in _ACTIVATIONS and name_in_registry in (None, function)
        if not (ours is found if found is not None else own or ours is not None):
            raise _refused(f"function {function!r} of module {module!r}", function, keras)
        return
    # What Keras finds in its registry goes before what the module says. Without a module it takes its oldest format,
    # which has bytecode.
    found, ours = _in_registry(name_in_registry, keras), registered(name_in_registry, custom_objects, keras)
    known = isinstance(name, str) and "module" in config and not config.get("compile_config")
    own = isinstance(module, str) and name in CLASSES.get(module.removeprefix("tf_"), ())
    if keras is not tf_keras and isinstance(module, str):
        own |= name in CLASSES_OF_KERAS_3.get(module, ())
    permitted = ours is found if found is not None else own or ours is not None
    if not known or not permitted or not (own or isinstance(ours, type)):
        raise _refused(f"class {name!r} of module {module!r}", name_in_registry or name, keras)
    if name == "Functional":
        _check_order(config.get("config"))


def _check_order(config: Any) -> None:
    """Raises ValueError unless each layer of a functional model has its inputs: Keras would look for them for ever."""
    layers = config.get("layers") if isinstance(config, dict) else None
    graph: dict[tuple[str, int], set[tuple[str, int]]] = {}
    for layer in layers if isinstance(layers, list) else ():
        nodes = layer.get("inbound_nodes") if isinstance(layer, dict) else None
        if not isinstance(nodes, list) or not isinstance(layer.get("name"), str):
            raise ValueError("a functional model has a layer without `name` or `inbound_nodes`")
        if layer.get("class_name") == "InputLayer":
            nodes = [[]]
        for number, node in enumerate(nodes, _has_input(layer.get("config"))):
            lists = [value for _, value in walk(node) if isinstance(value, list)]
            graph[layer["name"], number] = {
                (value[0], value[1])
                for value in lists
                if len(value) > 2 and isinstance(value[0], str) and isinstance(value[1], int)
            }
    try:
        order = list(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        raise ValueError("a functional model has layers that wait for each other") from error
    if len(order) > len(graph):
        raise ValueError(f"a functional model has no layers {sorted(set(order) - graph.keys())}")


def _has_input(config: Any) -> bool:
    """Whether this is a model with an input of its own, which Keras counts as its first node."""
    layers = config.get("layers") if isinstance(config, dict) else None
    first = layers[0] if isinstance(layers, list) and layers else None
    return isinstance(first, dict) and first.get("class_name") == "InputLayer"


def _in_registry(name: Any, keras: Any) -> Any:
    """Returns what Keras itself would take for this name before it looks at the module."""
    return keras.saving.get_registered_object(name) if isinstance(name, str) else None


def _refused(what: str, name: Any, keras: Any) -> ValueError:
    return ValueError(
        f"Keras' {what} is not among those that are made from a file: if you trust the file, register it by "
        f"`{keras.__name__}.saving.register_keras_serializable` or pass `custom_objects`={{{name!r}: it}}"
    )
