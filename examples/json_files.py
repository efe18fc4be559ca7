"""Reads JSON files that others may have written: small, and not nested deeply, whatever they hold."""

import json
import pathlib
from typing import Any

MAX_BYTES = 2**20  # The largest record of a figure, and the largest result, have some kB.
MAX_DEPTH = 32
_MAX_DIGITS = 19  # of a whole number: 64 bits. Longer ones are no floats, so they can't be printed as such.


def read(path: pathlib.Path) -> Any:
    """Returns what a JSON file holds.

    Raises:
      OSError: if the file can't be read.
      ValueError: if it is not JSON in UTF-8, or has more than `MAX_BYTES`, `MAX_DEPTH` or 64 bits of a number.
    """
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES:,} bytes")
    too_deep = f"it is nested more than {MAX_DEPTH} deep"
    try:
        value = json.loads(content.decode("utf-8"), parse_int=_whole_number)
    except RecursionError as error:
        raise ValueError(too_deep) from error
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
    if any(isinstance(inner, dict | list) for inner in level):
        raise ValueError(too_deep)
    return value


def _whole_number(digits):
    if len(digits.removeprefix("-")) > _MAX_DIGITS:
        raise ValueError(f"it has a number of {len(digits)} digits")
    return int(digits)


def _inside(value):
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
