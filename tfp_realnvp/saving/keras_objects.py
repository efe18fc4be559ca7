"""Which Keras objects a file may name: Keras' own deserialisation imports any module and returns any function in it."""

from collections.abc import Iterator, Mapping
from typing import Any

import tf_keras

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
    "Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity LecunNormal LecunUniform Ones Orthogonal "
    "RandomNormal RandomUniform TruncatedNormal VarianceScaling Zeros".split()
)
_REGULARIZERS = frozenset("L1 L1L2 L2 OrthogonalRegularizer".split())
_CONSTRAINTS = frozenset("MaxNorm MinMaxNorm NonNeg RadialConstraint UnitNorm".split())
_OPTIMIZERS = frozenset("Adadelta Adafactor Adagrad Adam AdamW Adamax Ftrl Lion Nadam RMSprop SGD".split())
_LEGACY_OPTIMIZERS = frozenset("Adadelta Adagrad Adam Adamax Ftrl Nadam RMSprop SGD".split())
_SCHEDULES = frozenset(
    "CosineDecay CosineDecayRestarts ExponentialDecay InverseTimeDecay PiecewiseConstantDecay PolynomialDecay".split()
)

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
# How the keys of a layer's configuration end -> the functions and classes that they may name by a string.
NAMES: Mapping[str, frozenset[str]] = {
    "activation": _ACTIVATIONS,
    "initializer": _INITIALIZERS | {"ones", "zeros"},
    "regularizer": _REGULARIZERS | {"l1", "l1_l2", "l2"},
    "constraint": _CONSTRAINTS,
}


def check_keras_object(config: Any, custom_objects: Mapping[str, Any] | None = None) -> None:
    """Raises ValueError unless Keras may make an object of `config`: all that it names is known and takes plain data.

    Known are the layers, initializers, regularizers, constraints, optimizers and learning rate schedules of Keras that
    are listed in this module, its activations, what the user has registered with Keras, and `custom_objects`.

    Args:
      config: what `tf_keras.saving.serialize_keras_object` returns, or anything else from a file.
      custom_objects: dict, name to class or function.
    """
    for key, value in _walk(config):
        if isinstance(value, dict) and ("class_name" in value or "compile_config" in value):
            _check_class(value, custom_objects)
        elif isinstance(value, str):
            ending = key.rpartition("_")[2]
            if ending in NAMES and value not in NAMES[ending] and _registered(value, custom_objects) is None:
                raise _refused(f"`{key}`={value!r}", value)


def _walk(config: Any) -> Iterator[tuple[str, Any]]:
    """Yields the key and the value of everything in a configuration; those of a list have the key of the list."""
    found: list[tuple[str, Any]] = [("", config)]
    while found:
        key, value = found.pop()
        yield key, value
        if isinstance(value, dict):
            found += value.items()
        elif isinstance(value, list | tuple):
            found += [(key, entry) for entry in value]


def _check_class(config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None) -> None:
    name, module = config.get("class_name"), config.get("module")
    registered = config.get("registered_name")
    if name == "__keras_tensor__":  # Where a layer of a functional model takes its input from.
        return
    if name == "function":
        function = config.get("config")
        own = module == "builtins" and function in _ACTIVATIONS and registered in (None, function)
        if not own and _registered(function, custom_objects) is None:
            raise _refused(f"function {function!r} of module {module!r}", function)
        return
    # Keras finds classes without a module in its oldest format, which takes bytecode.
    known = isinstance(name, str) and "module" in config and not config.get("compile_config")
    own = isinstance(module, str) and name in CLASSES.get(module.removeprefix("tf_"), ())
    if not known or not (own or isinstance(_registered(registered, custom_objects), type)):
        raise _refused(f"class {name!r} of module {module!r}", registered or name)


def _registered(name: Any, custom_objects: Mapping[str, Any] | None) -> Any:
    return tf_keras.saving.get_registered_object(name, custom_objects) if isinstance(name, str) else None


def _refused(what: str, name: Any) -> ValueError:
    return ValueError(
        f"Keras' {what} is not among those that are made from a file: if you trust the file, register it by "
        f"`tf_keras.saving.register_keras_serializable` or pass `custom_objects`={{{name!r}: it}}"
    )
