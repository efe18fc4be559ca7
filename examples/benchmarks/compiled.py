"""How fast XLA makes a config's network: training, log_prob and sample compiled whole, beside the plain graph."""

import time

from examples.benchmarks import speed, turns

_KINDS = ("xla", "plain")


def measure(name, dtype, batch_size, seconds):
    """Returns a dict: images/s of both kinds, measured in turns, their ratios, and the seconds of the first calls.

    A training step includes forward and backward pass, clipping, Adam and averages. A first call traces, compiles and
    runs once.

    Args:
      name: str, name of the config.
      dtype: str, type of the convolutions.
      batch_size: int.
      seconds: float, how long each rate is measured.
    """
    functions: dict = {}
    for kind in _KINDS:
        model, images = speed.open_model(name, dtype, batch_size)
        steps = speed.steps(model, images.train.pixels, jit_compile=kind == "xla")
        functions |= {(kind, phase): step for phase, step in steps.items()}
    first = {key: _seconds(function) for key, function in functions.items()}
    rates = {key: batch_size * rate for key, rate in turns.rates(functions, seconds).items()}
    return {
        "dtype": dtype,
        "image_shape": images.image_shape,
        "images_per_second": _by_kind(rates),
        "xla_over_plain": {phase: rates["xla", phase] / rates["plain", phase] for phase in speed.PHASES},
        "first_call_seconds": _by_kind(first),
    }


def _seconds(function):
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def _by_kind(figures):
    return {kind: {phase: figures[kind, phase] for phase in speed.PHASES} for kind in _KINDS}


def table(found):
    """Yields the result of `measure` as lines for the terminal."""
    size = "x".join(str(n) for n in found["image_shape"])
    title = f"XLA, {found['dtype']}, images of {size}"
    yield f"{title:32}" + "".join(f"{phase:>12}" for phase in speed.PHASES)
    for kind, rates in found["images_per_second"].items():
        yield f"{kind:32}" + "".join(f"{rates[phase]:12,.2f}" for phase in speed.PHASES) + "   images/s"
    ratios = found["xla_over_plain"]
    yield f"{'xla / plain':32}" + "".join(f"{ratios[phase]:12.3f}" for phase in speed.PHASES)
    for kind, seconds in found["first_call_seconds"].items():
        yield f"{f'first call, {kind}':32}" + "".join(f"{seconds[phase]:12,.2f}" for phase in speed.PHASES) + "   s"
