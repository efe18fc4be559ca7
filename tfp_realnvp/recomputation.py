"""Activations that the backward pass computes anew instead of keeping them (Chen et al. 2016, arXiv 1604.06174)."""

import contextvars

import tensorflow as tf


class _Evaluation:
    """One evaluation of a function that `recomputed` was given: the first, or one that the backward pass repeats."""

    def __init__(self, kept, repeats, outer):
        self.repeats = repeats
        self.outer = outer
        self._kept = kept  # What the first has read by `read_once`, in this order.
        self._replay = iter(tuple(kept))

    def read(self, read):
        if self.repeats:
            return next(self._replay)
        self._kept.append(read() if self.outer is None else self.outer.read(read))
        return self._kept[-1]


_current: contextvars.ContextVar[_Evaluation | None] = contextvars.ContextVar("tfp_realnvp_evaluation", default=None)


def recomputed(function, *tensors):
    """Returns `function(*tensors)`, for whose gradient `tensors` alone are kept and the function is evaluated again.

    What the function reads of variables that move in between, as running statistics do, it reads by `read_once`; it
    moves them itself only if not `recomputing()`. First derivatives only (`tf.recompute_grad`).

    Args:
      function: from tensors to a tensor or a tuple of tensors. Gradients go to `tensors` and to variables, not to other
        tensors that it uses. It may use `recomputed` within.
      *tensors: of float types.
    """
    kept: list = []
    first = True

    def evaluate(*tensors):
        nonlocal first
        evaluation, first = _Evaluation(kept, repeats=not first, outer=_current.get()), False
        token = _current.set(evaluation)
        # Else a graph reads all weights, and normalises them, long before it needs them for the second time.
        late = tf.control_dependencies(tensors if evaluation.repeats else [])
        try:
            with late:
                return function(*tensors)
        finally:
            _current.reset(token)

    return tf.recompute_grad(evaluate)(*tensors)


def recomputing():
    """Whether the backward pass asks for what has been evaluated before."""
    evaluation = _current.get()
    while evaluation is not None and not evaluation.repeats:
        evaluation = evaluation.outer
    return evaluation is not None


def read_once(read):
    """Returns `read()`; when recomputing, what the same call returned at first."""
    evaluation = _current.get()
    return read() if evaluation is None else evaluation.read(read)
