"""Activations that the backward pass computes anew instead of keeping them (Chen et al. 2016, arXiv 1604.06174)."""

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfp_realnvp.runtime.ambient import ambient, within


class Evaluation:
    """One evaluation of a function that `recomputed` was given: the first one, or its repetition when going backward.

    `kept` holds what the first evaluation got from `read_once`, in the order of the calls. A repetition gets the same.
    """

    def __init__(self, kept: list[Any], *, repeats: bool, outer: "Evaluation | None") -> None:
        self.repeats = repeats
        self.outer = outer
        self._kept = kept
        self._replay = iter(tuple(kept))

    def read(self, read: Callable[[], Any]) -> Any:
        if self.repeats:
            return next(self._replay)
        self._kept.append(read() if self.outer is None else self.outer.read(read))
        return self._kept[-1]


def recomputed(function: Callable, *tensors: tf.Tensor) -> Any:
    """Returns `function(*tensors)`, and evaluates the function again for its gradient; only `tensors` are kept.

    Running statistics move between the two evaluations. A function reads such variables by `read_once`, and moves
    them only if it is not `recomputing()`. There are first derivatives only (`tf.recompute_grad`).

    Args:
      function: maps tensors to a tensor or a tuple of tensors. Gradients go to `tensors` and to variables, but not to
        other tensors that it uses. It may call `recomputed` itself.
      *tensors: of float types.
    """
    context = ambient()
    kept: list[Any] = []
    first = True

    def evaluate(*tensors: tf.Tensor) -> Any:
        nonlocal first
        evaluation, first = Evaluation(kept, repeats=not first, outer=context.evaluation), False
        # Without this, a graph would read and normalise all weights long before the repetition needs them.
        after_inputs = tf.control_dependencies(tensors if evaluation.repeats else [])
        with after_inputs, within(dataclasses.replace(context, evaluation=evaluation)):
            return function(*tensors)

    return tf.recompute_grad(evaluate)(*tensors)


def recomputing() -> bool:
    """Whether the backward pass is repeating an evaluation."""
    evaluation = ambient().evaluation
    while evaluation is not None and not evaluation.repeats:
        evaluation = evaluation.outer
    return evaluation is not None


def read_once(read: Callable[[], Any]) -> Any:
    """Returns `read()`; in a repetition, returns what the same call returned in the first evaluation."""
    evaluation = ambient().evaluation
    return read() if evaluation is None else evaluation.read(read)
