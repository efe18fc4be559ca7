"""Measures rates that can be compared although the machine's speed changes over minutes."""

import statistics
import time

import tensorflow as tf

TURNS = 15


def calls_per_second(function, seconds):
    """Calls a function over and over for `seconds`, at least once; returns calls per second."""
    began, count = time.perf_counter(), 0
    while not count or time.perf_counter() - began < seconds:
        function()
        count += 1
    tf.test.experimental.sync_devices()  # A GPU may still be at work.
    return count / (time.perf_counter() - began)


def rates(functions, seconds, turns=TURNS):
    """Returns calls per second of each function, a dict: the median over turns in which all run one after another.

    Args:
      functions: dict from names to functions without arguments; each is called once before, to trace.
      seconds: float, how long each function runs, over all turns.
      turns: int.
    """
    for function in functions.values():
        function()
    per_turn = [{name: calls_per_second(f, seconds / turns) for name, f in functions.items()} for _ in range(turns)]
    return {name: statistics.median(turn[name] for turn in per_turn) for name in functions}
