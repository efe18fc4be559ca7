"""The versions that a file was written by, and those that read it."""

from collections.abc import Mapping

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.version import __version__


def versions() -> dict[str, str]:
    """Returns the versions of this package and of those that it describes objects of."""
    return {
        "tfp_realnvp": __version__,
        "tensorflow": tf.__version__,
        "tensorflow_probability": tfp.__version__,
    }


def listed(found: object) -> str:
    """Returns versions as text; they come from a file, and so may be anything."""
    if not isinstance(found, Mapping) or not found:
        return "unknown versions"
    return ", ".join(f"{name} {version}" for name, version in found.items())
