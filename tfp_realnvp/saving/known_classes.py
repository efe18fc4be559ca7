"""The classes that a description may name, and no others, since building an object runs its constructor.

They are classes of this package, and those classes of TFP whose arguments are plain data: numbers, strings, tensors,
variables and other such classes. TFP's classes that call a function which they are given, such as `tfd.Autoregressive`
and `tfb.Inline`, or that take memory by a number, are left out.
"""

import functools
import types
from collections.abc import Iterable, Mapping
from typing import Any

import tensorflow_probability as tfp
import tf_keras

_DISTRIBUTIONS = frozenset(
    "Beta Blockwise Categorical Cauchy Deterministic Exponential ExpRelaxedOneHotCategorical Gamma GeneralizedNormal "
    "Gumbel HalfCauchy HalfNormal HalfStudentT Independent InverseGamma JohnsonSU Kumaraswamy Laplace Logistic "
    "LogitNormal LogLogistic LogNormal Mixture MixtureSameFamily Moyal MultivariateNormalDiag MultivariateNormalTriL "
    "Normal NormalInverseGaussian OneHotCategorical Pareto RelaxedOneHotCategorical "
    "Sample SinhArcsinh StudentT TransformedDistribution Triangular TruncatedCauchy TruncatedNormal Uniform VonMises "
    "Weibull".split()
)
_BIJECTORS = frozenset(
    "Ascending Blockwise Chain Exp Expm1 FrechetCDF GeneralizedExtremeValueCDF GompertzCDF GumbelCDF Identity Invert "
    "KumaraswamyCDF LambertWTail Log Log1p MoyalCDF NormalCDF Permute Power RationalQuadraticSpline RayleighCDF "
    "Reciprocal Reshape Scale ScaleMatvecDiag ScaleMatvecTriL Shift ShiftedGompertzCDF Sigmoid SinhArcsinh Sinh "
    "SoftClip Softplus Softsign Square Tanh WeibullCDF".split()
)

_LIBRARIES = ("keras", "tensorflow", "tensorflow_probability", "tf_keras", "tfp_realnvp")
_OURS_IN_KERAS = ("tfp_realnvp>Adam", "tfp_realnvp>Muon")

_ours: dict[str, type] = {}
_kerases: list[Any] = [tf_keras]


def read_registry_of(keras: Any) -> None:
    """Makes the classes known, too, that a user has registered with this Keras, e.g. Keras 3."""
    _kerases.append(keras)


def register(*classes: type, package: str = "tfp_realnvp") -> None:
    """Makes classes of this package known, by their public names in `package`."""
    _ours.update({f"{package}.{cls.__name__}": cls for cls in classes})


def is_ours(name: str) -> bool:
    """Whether this is the public name of a class of this package."""
    return name in _ours


def name_of(cls: type) -> str:
    """Returns the name by which a description names a class, e.g. "tfd.Normal" or "tfp_realnvp.Squeeze"."""
    for name, public in {**_ours, **_tfp_classes()}.items():
        # If a part is no composite tensor, TFP makes an object of the class `_Chain` of which `Chain` is a subclass.
        if public is cls or (cls in public.__bases__ and cls.__name__ == f"_{public.__name__}"):
            return name
    return f"{cls.__module__}.{cls.__qualname__}"


def registered(name: Any, custom_objects: Mapping[str, Any] | None = None, keras: Any = None) -> Any:
    """Returns what the user has registered with Keras or passed as `custom_objects` by this name, or None.

    Libraries register classes too, among them TFP's `DistributionLambda`, which unpickles a string: these don't count.

    Args:
      name: what the file says.
      custom_objects: dict, name to class or function.
      keras: the Keras whose registry counts. Default: each that is in use.
    """
    if not isinstance(name, str):
        return None
    if custom_objects and name in custom_objects:
        return custom_objects[name]
    for each in _kerases if keras is None else [keras]:
        found = each.saving.get_registered_object(name)
        library = str(getattr(found, "__module__", "")).partition(".")[0] in _LIBRARIES
        registered_globally = each.saving.get_custom_objects().get(name) is found
        if found is not None and not (library and registered_globally and name not in _OURS_IN_KERAS):
            return found
    return None


def class_of(name: Any, custom_objects: Mapping[str, type]) -> type:
    """Returns the class of a name in a description.

    Args:
      name: what the description says.
      custom_objects: dict, name to class, that goes before all other classes, as does what the user has registered.

    Raises:
      ValueError: for a class that isn't known.
    """
    if not isinstance(name, str):
        raise ValueError(f"class {name!r} is not known: it must be a name")
    found = registered(name, custom_objects) or _ours.get(name) or _plain(name)
    if found is None and name.startswith("tfp_realnvp.keras3."):
        raise ValueError(f"class {name!r} is of Keras 3: `import tfp_realnvp.keras3` first")
    if not isinstance(found, type):
        reason = "takes more than plain data" if name in _tfp_classes() else "is not known"
        raise ValueError(f"class {name!r} {reason}: pass `custom_objects`={{{name!r}: the class}} if you trust it")
    return found


def classes_of(parts: Iterable[Any]) -> dict[str, type]:
    """Returns the `custom_objects` by which every class of these parts is known, also to Keras."""
    parts = list(parts)
    classes = {type(part) for part in parts}
    layers = [part.layer for part in parts if getattr(part, "of_keras", False)]  # of Keras 3
    for layer in layers:  # It grows.
        layers += getattr(layer, "layers", [])
    of_keras = {type(layer) for layer in layers} | {cls for cls in classes if issubclass(cls, tf_keras.layers.Layer)}
    keras = {cls.__name__: cls for cls in of_keras}
    return keras | {name: _tfp_classes().get(name, cls) for cls in classes for name in (name_of(cls),)}


@functools.cache
def _tfp_classes() -> Mapping[str, type]:
    """The public classes of TFP by name, e.g. "tfd.Normal"."""
    found: dict[str, type] = {}
    for prefix, namespace in (("tfd", tfp.distributions), ("tfb", tfp.bijectors)):
        found |= {f"{prefix}.{name}": cls for name, cls in vars(namespace).items() if isinstance(cls, type)}
    return types.MappingProxyType(found)


def _plain(name: str) -> type | None:
    """Returns the class of TFP of this name, if it takes plain data."""
    prefix, _, cls = name.partition(".")
    allowed = {"tfd": _DISTRIBUTIONS, "tfb": _BIJECTORS}.get(prefix, frozenset())
    return _tfp_classes().get(name) if cls in allowed else None
