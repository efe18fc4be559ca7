"""The one ambient record, by which code around an evaluation speaks to the layers inside it.

TFP's and users' classes lie between the two, so that keywords can't carry it.
"""

import contextlib
import contextvars
import dataclasses
from collections.abc import Iterator
from typing import Any


@dataclasses.dataclass(frozen=True)
class Ambient:
    """What the code around an evaluation asks of the layers inside it; None where it asks nothing.

    Attributes:
      recorded_statistics: a list to which `RunningStatistics` append what they would have moved by.
      initializations: a dict whose keys are the layers that are to start from the batch of this evaluation; each puts
        its start there.
      layer_record: the `LayerRecord` to which bijectors report their outputs.
      evaluation: the `recomputation.Evaluation` that is going on.
    """

    recorded_statistics: list[Any] | None = None
    initializations: dict[Any, Any] | None = None
    layer_record: Any = None
    evaluation: Any = None


_NOTHING_ASKED = Ambient()
_current: contextvars.ContextVar[Ambient] = contextvars.ContextVar("tfp_realnvp_ambient", default=_NOTHING_ASKED)


def ambient() -> Ambient:
    """Returns the record that holds here."""
    return _current.get()


@contextlib.contextmanager
def within(record: Ambient) -> Iterator[None]:
    """Makes `record` the one that holds in the block."""
    token = _current.set(record)
    try:
        yield
    finally:
        _current.reset(token)
