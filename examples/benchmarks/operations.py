"""Where the time of a training step and of log_prob goes, by TensorFlow's operations."""

import collections
import re
import time

from examples.benchmarks import speed, traces

_PHASES = ("train", "log_prob")
_CALLS = 10
_ROWS = 12
# The name of a node and its type, the same for oneDNN's variant of it.
_OPERATION = re.compile(r"[^:]+:_?(?:Mkl)?(?:Native)?(\w+)")


def measure(name, dtype, batch_size):
    """Returns a dict: for each phase, milliseconds of a call, and of each type of operation in it, the longest first.

    Operations run beside one another, so that their times add up to more than the call's; those of a type that ran at
    the same time as others are longer than they would be alone.

    Args:
      name: of the config.
      dtype: of the convolutions.
      batch_size: int.
    """
    model, images = speed.open_model(name, dtype, batch_size)
    steps = speed.steps(model, images.train.pixels)
    return {phase: _measure(steps[phase]) for phase in _PHASES}


def _measure(step):
    step()  # Traces.
    taken = 0.0

    def calls():
        nonlocal taken
        began = time.perf_counter()
        for _ in range(_CALLS):
            step()
        taken = time.perf_counter() - began

    types: collections.Counter = collections.Counter()
    for name, _, duration in traces.events(calls):
        if found := _OPERATION.fullmatch(name):
            types[found.group(1)] += duration / 1e9 / _CALLS
    return {"call": 1000 * taken / _CALLS, "operations": dict(types.most_common())}


def table(found):
    """The result of `measure` as lines for a person."""
    yield "operations, ms a call under the profiler, and share of all operations"
    for phase, figures in found.items():
        operations = figures["operations"]
        total = sum(operations.values())
        yield f"{phase:36}{figures['call']:10.1f}, operations {total:.1f}, beside one another"
        for name, milliseconds in list(operations.items())[:_ROWS]:
            yield f"  {name:34}{milliseconds:10.1f}{milliseconds / total:8.1%}"
        rest = sum(list(operations.values())[_ROWS:])
        yield f"  {f'{max(0, len(operations) - _ROWS)} other types':34}{rest:10.1f}{rest / total:8.1%}"
