"""The rows that were measured, in a directory: NAME.json, and NAME.npy with the bits/dim of each image."""

import json

import numpy as np

from examples import json_files
from examples import run as run_lib
from examples.ablations.rows import BASE, ROWS

_NUMBERS = ("bits_per_dim", "seconds_per_step", "images", "parameters")


def read(directory, given):
    """Returns a dict from names of rows to (values, bits/dim [images]).

    Args:
      directory: `pathlib.Path`.
      given: dict from each row's name to what it is measured with, for JSON.

    Raises:
      ValueError: if a file is damaged, of no row, or was measured with something else.
    """
    return {path.stem: _read(path, given.get(path.stem)) for path in sorted(directory.glob("*.json"))}


def _read(path, given):
    remedy = "name another directory, --out=DIR, or delete it"
    if given is None:
        raise ValueError(f"`out`={path.parent}: {path.name} is of no row; {remedy}.")
    try:
        values = json_files.read(path)
        before = values["given"]
        bits = np.load(path.with_suffix(".npy"))
        if bits.ndim != 1 or bits.dtype.kind != "f" or not all(isinstance(values[n], int | float) for n in _NUMBERS):
            raise ValueError("a value is of another type")
        differing = [name for name, value in json.loads(json.dumps(given)).items() if before[name] != value]
    except (OSError, ValueError, EOFError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"`out`={path.parent}: {path.name} or its .npy is damaged ({error}); {remedy}.") from error
    if differing:
        raise ValueError(
            f"`out`={path.parent}: {path.name} was measured with another {' and '.join(differing)}; {remedy}."
        )
    return values, bits


def write(directory, name, values, bits):
    """Writes a row to a directory."""
    np.save(directory / f"{name}.npy", bits)
    run_lib.write(directory / f"{name}.json", json.dumps(values, indent=1) + "\n")


def table(found):
    """Returns the lines of a Markdown table of the rows of `read`, the best first."""
    lines = ["| row | bits/dim | difference | s/step | images | parameters |", "|---|---|---|---|---|---|"]
    for name, (values, bits) in sorted(found.items(), key=lambda row: row[1][0]["bits_per_dim"]):
        difference = ""
        if name != BASE and BASE in found:
            gaps = bits - found[BASE][1]
            difference = f"{gaps.mean():+.4f} ± {gaps.std() / len(gaps) ** 0.5:.4f}"
        lines.append(
            f"| {name}: {ROWS[name].what} | {values['bits_per_dim']:.4f} | {difference} | "
            f"{values['seconds_per_step']:.3f} | {values['images']:,} | {values['parameters']:,} |"
        )
    return lines
