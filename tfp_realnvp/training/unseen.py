"""Variables that a training step uses and no optimizer moves."""

import warnings
from collections.abc import Sequence

import tensorflow as tf


def warn_of_unseen(tape: tf.GradientTape, variables: Sequence[tf.Variable]) -> None:
    """Warns if the tape has seen a trainable variable that is not among `variables`, and so is never trained."""
    known = {id(v.handle) for v in variables}
    unseen = sorted({v.name for v in tape.watched_variables() if id(v.handle) not in known})
    if unseen:
        warnings.warn(
            f"`distribution`: its log_prob uses variables that are not among its own and are not trained: "
            f"{', '.join(unseen)}. If they should be, make them attributes of a bijector, a distribution or a "
            "tf.Module that it holds, e.g. pass a tf_keras layer itself, or a `tfp_realnvp.keras3.Network` of a layer "
            "of Keras 3, instead of a function that calls it.",
            stacklevel=2,
        )
