"""Which variables of a distribution belong together."""

import itertools
from collections.abc import Sequence, Set

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.runtime.running_statistics import RunningStatistics


def named_groups(distribution: tfp.distributions.Distribution) -> list[tuple[str, list[tf.Variable]]]:
    """Returns name and variables of each bijector that owns any, and of those that no bijector owns.

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
        result.append((f"{name}_{names[name]}" if names[name] else name, members))
    return result


def _common_name(variables: Sequence[tf.Variable]) -> str:
    """Returns what the names of the variables begin with in common, e.g. "real_nvp_image.level_0.checkerboard_0"."""
    parts = [v.name.split(":")[0].split("/")[:-1] for v in variables]
    common = itertools.takewhile(lambda column: len(set(column)) == 1, zip(*parts, strict=False))
    return ".".join(column[0] for column in common) or "distribution"


def freeze_statistics(distribution: tfp.distributions.Distribution, frozen: Set[int]) -> None:
    """Makes running statistics hold still whose variables are frozen, as Keras' frozen batch norms do."""
    for module in distribution.submodules:
        if isinstance(module, RunningStatistics):
            module.trainable = id(module.mean) not in frozen
