"""The variables of a distribution as Keras sees them, and those that it can't see."""

import itertools
import warnings
from collections.abc import Sequence

import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tfp_realnvp.runtime.running_statistics import RunningStatistics


class VariableGroup(tf_keras.layers.Layer):
    """Shows variables that a `tf.Module` owns to Keras, whose `summary` and HDF5 files know layers only.

    Its `trainable` freezes them: see `frozen_variables`.
    """

    def __init__(self, variables: list[tf.Variable], name: str) -> None:
        super().__init__(name=name)
        self.members = variables
        self.built = True


def group_variables(distribution: tfp.distributions.Distribution) -> list[VariableGroup]:
    """Returns a group for each bijector that owns variables, and one for those that no bijector owns.

    A variable belongs to the innermost bijector that holds it, in itself or in its networks, whatever its name is:
    names are for reading, and depend on where the distribution was built.
    """
    bijectors = [m for m in distribution.submodules if isinstance(m, tfp.bijectors.Bijector)]
    owners: dict[int, int] = {}
    for number, bijector in sorted(enumerate(bijectors, 1), key=lambda pair: -len(pair[1].variables)):
        owners |= dict.fromkeys((id(v) for v in bijector.variables), number)
    groups: dict[int, list[tf.Variable]] = {}
    for v in distribution.variables:
        groups.setdefault(owners.get(id(v), 0), []).append(v)
    names: dict[str, int] = {}
    result = []
    for members in groups.values():
        name = _common_name(members)
        names[name] = names.get(name, -1) + 1
        result.append(VariableGroup(members, f"{name}_{names[name]}" if names[name] else name))
    return result


def _common_name(variables: Sequence[tf.Variable]) -> str:
    """Returns what the names of the variables begin with in common, e.g. "real_nvp_image.level_0.checkerboard_0"."""
    parts = [v.name.split(":")[0].split("/")[:-1] for v in variables]
    common = itertools.takewhile(lambda column: len(set(column)) == 1, zip(*parts, strict=False))
    return ".".join(column[0] for column in common) or "distribution"


def frozen_variables(distribution: tfp.distributions.Distribution, groups: Sequence[VariableGroup]) -> set[int]:
    """Returns the ids of the variables that are not to be trained.

    They are those of groups, and of Keras layers in the distribution, whose `trainable` is False.
    """
    layers = [m for m in distribution.submodules if isinstance(m, tf_keras.layers.Layer)]
    frozen = [v for group in groups if not group.trainable for v in group.members]
    for layer in layers:
        trainable = {id(v) for v in layer.trainable_weights}
        frozen += [v for v in layer.weights if id(v) not in trainable]
    return {id(v) for v in frozen}


def freeze_statistics(distribution: tfp.distributions.Distribution, frozen: set[int]) -> None:
    """Makes running statistics hold still whose variables are frozen, as Keras' frozen batch norms do."""
    for module in distribution.submodules:
        if isinstance(module, RunningStatistics):
            module.trainable = id(module.mean) not in frozen


def check_built(distribution: tfp.distributions.Distribution) -> None:
    """Raises ValueError if a Keras layer in the distribution has yet to make its variables."""
    for layer in distribution.submodules:
        if isinstance(layer, tf_keras.layers.Layer) and not layer.built:
            raise ValueError(
                f"`distribution` holds the Keras layer {layer.name!r}, which is not built and has no variables to "
                "train yet; call its `build`, e.g. with [None, None, None, C], before it is passed on."
            )


def warn_of_unseen(tape: tf.GradientTape, variables: Sequence[tf.Variable]) -> None:
    """Warns if the tape has seen a trainable variable that is not among `variables`, and so is never trained."""
    known = {id(v.handle) for v in variables}
    unseen = sorted({v.name for v in tape.watched_variables() if id(v.handle) not in known})
    if unseen:
        warnings.warn(
            f"`distribution`: its log_prob uses variables that are not among its own and are not trained: "
            f"{', '.join(unseen)}. If they should be, make them attributes of a bijector, a distribution or a "
            "tf.Module that it holds, e.g. pass a tf_keras layer itself instead of a function that calls it.",
            stacklevel=2,
        )
