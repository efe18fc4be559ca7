"""How the time of a training step and of log_prob divides among TensorFlow's operations."""

import collections
import re
import time

from examples.benchmarks import speed, traces

_PHASES = ("train", "log_prob")
_CALLS = 10
_ROWS = 12
# The name of a node and its type; the variants of oneDNN count as the type itself.
_OPERATION = re.compile(r"[^:]+:_?(?:Mkl)?(?:Native)?(\w+)")


def measure(name, dtype, batch_size):
    """Returns, for each phase, the milliseconds of a call and of each type of operation in it, the longest first.

    Operations run in parallel, so their times add up to more than the call's, and an operation that runs beside others
    takes longer than it would alone.

    Args:
      name: str, name of the config.
      dtype: str, type of the convolutions.
      batch_size: int.
    """
    model, images = speed.open_model(name, dtype, batch_size)
    steps = speed.steps(model, images.train.pixels)
    return {phase: _measure(steps[phase]) for phase in _PHASES}


def _measure(step):
    step()  # This traces.
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
    """Yields the result of `measure` as lines for the terminal."""
    yield "operations, ms per call under the profiler, and share of all operations"
    for phase, figures in found.items():
        operations = figures["operations"]
        total = sum(operations.values())
        yield f"{phase:36}{figures['call']:10.1f}, operations {total:.1f}, in parallel"
        for name, milliseconds in list(operations.items())[:_ROWS]:
            yield f"  {name:34}{milliseconds:10.1f}{milliseconds / total:8.1%}"
        rest = sum(list(operations.values())[_ROWS:])
        yield f"  {f'{max(0, len(operations) - _ROWS)} other types':34}{rest:10.1f}{rest / total:8.1%}"
