"""How fast the input pipeline of a config is, compared with its training."""

import statistics
import time

import tensorflow as tf

from examples import data
from examples.benchmarks import traces

_TURNS = 3
_TRACED_STEPS = 10


def batches_per_second(iterator, seconds):
    """Takes a first batch, and then batches for `seconds`; returns how many per second."""
    next(iterator)
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        next(iterator)
        count += 1
    return count / (time.perf_counter() - began)


def steps_per_second(model, batches, seconds):
    """Trains for about `seconds`, after two steps that trace; returns steps per second."""
    model.fit(batches, steps_per_epoch=2, verbose=0)
    steps = 1
    while True:  # A call of `fit` has a cost of its own, so one call must last for all the seconds.
        began = time.perf_counter()
        model.fit(batches, steps_per_epoch=steps, verbose=0)
        taken = time.perf_counter() - began
        if taken >= seconds:
            return steps / taken
        steps = max(steps + 1, int(steps * min(20.0, 1.2 * seconds / taken)))


def shares_waiting(model, batches):
    """Returns which share of its time each of ten training steps waited for images, from the trace of tf.profiler."""
    model.fit(batches, steps_per_epoch=1, verbose=0)
    events = traces.events(lambda: model.fit(batches, steps_per_epoch=_TRACED_STEPS, verbose=0))
    steps, waits = _named(events, "train"), _named(events, "IteratorGetNextOp::DoCompute")
    return [
        sum(length for start, length in waits if begin <= start < begin + whole) / whole
        for begin, whole in sorted(steps)
    ]


def _named(events, wanted):
    """Returns (start, duration) of the events of a name; Keras' `fit` names its steps `train`."""
    return [(start, duration) for name, start, duration in events if name == wanted]


def measure(opened, batch_size, seconds):
    """Returns a dict: images/s of the input alone, of training on one repeated batch, and of training on the input.

    It also holds the ratios of these rates, and the share of each step that waited for images. The rates are measured
    in turns, because a machine's speed changes over minutes, and each is the median of its turns.
    """
    model = opened.model
    batches = data.train_batches(opened.images.train, batch_size, seed=0, flip=opened.config.flip)
    same = tf.data.Dataset.from_tensors(next(iter(batches))).repeat()
    figures = {
        "input": lambda: batches_per_second(iter(batches), seconds / _TURNS),
        "training_on_one_batch": lambda: steps_per_second(model, same, seconds / _TURNS),
        "training": lambda: steps_per_second(model, batches, seconds / _TURNS),
    }
    turns = [{name: batch_size * figure() for name, figure in figures.items()} for _ in range(_TURNS)]
    rates = {name: statistics.median(turn[name] for turn in turns) for name in figures}
    return {
        "data": opened.images.name,
        "in_memory": isinstance(opened.images.train, data.ArrayImages),
        "images_per_second": rates,
        "input_over_training": rates["input"] / rates["training_on_one_batch"],
        "training_over_training_on_one_batch": rates["training"] / rates["training_on_one_batch"],
        "shares_waiting_for_input": shares_waiting(model, batches),
    }


def table(found):
    """Yields the result of `measure` as lines for the terminal."""
    rates, waiting = found["images_per_second"], found["shares_waiting_for_input"]
    yield f"input, {found['data']}, {'in memory' if found['in_memory'] else 'read from files'}"
    for name, text in (
        ("input", "input alone"),
        ("training_on_one_batch", "training on one batch"),
        ("training", "training on the input"),
    ):
        yield f"{text:44}{rates[name]:10,.1f} images/s"
    yield f"{'input / training on one batch':44}{found['input_over_training']:10.2f}"
    ratio = found["training_over_training_on_one_batch"]
    yield f"{'training on the input / on one batch':44}{ratio:10.3f}"
    text = f"waiting for input in {len(waiting)} steps traced"
    yield f"{text:44}{waiting[0]:10.2%} of the first, at most {max(waiting[1:]):.2%} of the others"
