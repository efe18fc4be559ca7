"""The variables of a distribution as Keras sees them, and those that it can't see."""

import warnings
from collections.abc import Sequence

import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras


class VariableGroup(tf_keras.layers.Layer):
    """Shows variables that a `tf.Module` owns to Keras, whose `summary` and HDF5 files know layers only."""

    def __init__(self, variables: list[tf.Variable], name: str) -> None:
        super().__init__(name=name)
        self.members = variables
        self.built = True


def group_variables(variables: Sequence[tf.Variable]) -> list[VariableGroup]:
    """Returns a group for each beginning of three parts of variables' names; in `RealNVPImage` that is a coupling."""
    groups: dict[str, list[tf.Variable]] = {}
    for v in variables:
        groups.setdefault(".".join(v.name.split(":")[0].split("/")[:-1][:3]) or "distribution", []).append(v)
    return [VariableGroup(members, name) for name, members in groups.items()]


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
