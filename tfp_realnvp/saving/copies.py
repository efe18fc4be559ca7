"""Copies and pickles of TFP's distributions and bijectors, which TFP's own classes do not all have.

`tfd.Sample`, `tfb.Chain` and others choose the class of a new object in `__new__`, by its arguments; copy and pickle
call `__new__` without any. Python's `copyreg` tells both how to make such an object: empty, and then with its state.
"""

import copyreg
from typing import Any

import tensorflow_probability as tfp


def make_copyable() -> None:
    """Tells Python how to copy and pickle the classes of TFP that have a `__new__` of their own."""
    for namespace in (tfp.distributions, tfp.bijectors):
        for cls in vars(namespace).values():
            if isinstance(cls, type) and "__new__" in vars(cls):
                copyreg.pickle(cls, _reduce)  # type: ignore[arg-type]


def _reduce(value: Any) -> tuple[Any, ...]:
    return _empty, (type(value),), value.__dict__


def _empty(cls: type) -> Any:
    return object.__new__(cls)
