"""Measures what it costs to serve a run as a SavedModel, compared with the same calls in this process.

    python -m examples.benchmark_serving --run=runs/digits

It exports to a temporary directory, prints a table, and writes it as JSON to the file that --json names.
"""

import json
import pathlib
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import tensorflow as tf
from absl import flags

from examples import command as command_lib
from examples import config_flag, data, experiment, exporting
from examples.models import count_parameters
from tfp_realnvp import bits_per_dim, dequantize, quantize

_STARTS = 3
_FEWEST_TURNS = 5

FLAGS = flags.FLAGS
config_flag.define_run()
flags.DEFINE_integer("batch_size", 64, "Images per request.", lower_bound=1)
flags.DEFINE_float("seconds", 60.0, "For how long scores, and then samples, are measured.", lower_bound=0.1)
command_lib.define_path("json", "File to write the figures to.")

# A client that has only TensorFlow, the folder and an image; it prints the time of each stage.
_CLIENT = """
import sys, time
import numpy as np
import tensorflow as tf
times = {"import tensorflow": time.time()}
model = tf.saved_model.load(sys.argv[1])
times["load"] = time.time()
request = {name: tf.constant(value) for name, value in np.load(sys.argv[2]).items()}
for stage in ("first answer", "second answer"):
    model.serving_default(**request)["log_prob"].numpy()
    times[stage] = time.time()
import json
assert "tfp_realnvp" not in sys.modules and "tensorflow_probability" not in sys.modules
print(json.dumps(times))
"""


def start(folder, request):
    """Runs a client in a process of its own; returns the seconds of each stage, and the `total` to the first answer."""
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "request.npz"
        np.savez(path, **{name: value.numpy()[:1] for name, value in request.items()})
        began = time.time()
        command = [sys.executable, "-c", _CLIENT, str(folder), str(path)]
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the client of {folder} failed: {done.stderr.strip().splitlines()[-1]}")
    times = {"": began, **json.loads(done.stdout)}
    stages = {b: times[b] - times[a] for a, b in zip(list(times), list(times)[1:], strict=False)}
    return {"total": times["first answer"] - began, **stages}


def make_request(opened, batch_size):
    """Returns whole-numbered test images, float32 [batch_size, H, W, C], and any conditioning: a dict of tensors."""
    count = min(batch_size, len(opened.images.test))
    batch = next(iter(data.eval_batches(opened.images.test, count, count)))
    pixels, *conditioning = batch if isinstance(batch, tuple) else (batch,)
    rows = np.arange(batch_size) % count
    request = {"pixels": tf.floor(tf.gather(tf.cast(pixels, tf.float32), rows))}
    if conditioning:
        request["conditioning"] = tf.gather(conditioning[0], rows)
    return request


def calls(distribution, levels, model, request):
    """Returns pairs of functions without arguments that answer alike, through the SavedModel and in this process."""
    pixels, seed = request["pixels"], tf.constant([0, 1])
    condition = {name: value for name, value in request.items() if name != "pixels"}
    keywords = {"bijector_kwargs": condition} if condition else {}

    @tf.function(autograph=False)
    def score(pixels, seed):
        log_prob = distribution.log_prob(dequantize(pixels, levels, seed=seed), **keywords)
        return {"log_prob": log_prob, "bits_per_dim": bits_per_dim(log_prob, pixels.shape[1:])}

    @tf.function(autograph=False)
    def sample(seed):
        return {"pixels": quantize(distribution.sample(len(pixels), seed=seed, **keywords), levels)}

    # A server calls the signatures too, with every input.
    served = model.signatures
    count, temperature = tf.constant(len(pixels)), tf.constant(1.0)
    size = {name: tf.constant(pixels.shape[axis]) for name, axis in (("height", 1), ("width", 2))}
    return {
        "serving_default": (
            lambda: served["serving_default"](**request, seed=seed, dequantize=tf.constant(True)),
            lambda: score(pixels, seed),
        ),
        "sample": (
            lambda: served["sample"](**condition, **size, count=count, seed=seed, temperature=temperature),
            lambda: sample(seed),
        ),
    }


def rates(pair, batch_size, seconds):
    """Returns images/s of two functions, each the median over turns, and the median over turns of their ratio: a dict.

    Two untimed turns come first, to trace. A machine's speed changes, so only times of the same turn are compared.
    """
    times: list[list[float]] = [[], []]
    for _ in range(2):
        for call in pair:
            _seconds(call)
    began = time.perf_counter()
    while time.perf_counter() - began < seconds or len(times[0]) < _FEWEST_TURNS:
        order = (0, 1) if len(times[0]) % 2 == 0 else (1, 0)  # Neither always follows the other.
        for i in order:
            times[i].append(_seconds(pair[i]))
    medians = [statistics.median(t) for t in times]
    found = {"saved_model": batch_size / medians[0], "in_process": batch_size / medians[1]}
    ratio = statistics.median(theirs / ours for ours, theirs in zip(*times, strict=True))
    return {**found, "ratio": ratio, "turns": len(times[0])}


def _seconds(call):
    began = time.perf_counter()
    for value in call().values():
        value.numpy()
    return time.perf_counter() - began


def measure(opened, batch_size, seconds):
    """Exports the run to a temporary directory; returns all figures, a dict for JSON."""
    distribution, request = opened.model.distribution, make_request(opened, batch_size)
    with tempfile.TemporaryDirectory() as directory, opened.model.evaluation_weights():
        began = time.perf_counter()
        folder = exporting.export(opened, directory, None)
        exported = time.perf_counter() - began
        on_disk, of_variables = exporting.sizes(folder, distribution)
        starts = [start(folder, request) for _ in range(_STARTS)]
        pairs = calls(distribution, opened.images.levels, tf.saved_model.load(str(folder)), request)
        speed = {name: rates(pair, batch_size, seconds) for name, pair in pairs.items()}
    return {
        "config": opened.settings.name,
        "batch_size": batch_size,
        "parameters": count_parameters(opened.model),
        "seconds_to_export": exported,
        "seconds_to_start": {name: statistics.median(s[name] for s in starts) for name in starts[0]},
        "images_per_second": speed,
        "bytes": {"on_disk": on_disk, "of_variables": of_variables, "ratio": on_disk / of_variables},
        "command": f"python -m examples.benchmark_serving {shlex.join(sys.argv[1:])}",
    }


def report(figures):
    """Returns the figures as a table for the terminal."""
    start_times = figures["seconds_to_start"]
    stages = ", ".join(
        f"{n} {seconds:.2f}" for n, seconds in start_times.items() if n not in ("total", "second answer")
    )
    size = figures["bytes"]
    lines = [
        f"{figures['config']}, {figures['parameters']:,} parameters; requests of {figures['batch_size']} images",
        f"export                     {figures['seconds_to_export']:10.2f} s",
        f"process start, first answer{start_times['total']:10.2f} s  ({stages}; one image)",
        f"second answer              {start_times['second answer']:10.3f} s",
        f"{'images/s':27}SavedModel in process  ratio",
    ]
    for name, speed in figures["images_per_second"].items():
        lines.append(f"{name:27}{speed['saved_model']:10,.1f} {speed['in_process']:10,.1f} {speed['ratio']:6.3f}")
    return "\n".join(
        [
            *lines,
            f"bytes: {size['on_disk']:,} on disk, {size['of_variables']:,} of variables, ratio {size['ratio']:.2f}",
        ]
    )


def main(argv):
    command_lib.begin(argv)
    with command_lib.errors_in_one_line("stopped; no measurement was finished"):
        figures = measure(experiment.open_run(FLAGS.run, **config_flag.of_run()), FLAGS.batch_size, FLAGS.seconds)
        if FLAGS.json:
            pathlib.Path(FLAGS.json).write_text(json.dumps(figures, indent=1) + "\n")
    print(report(figures))


if __name__ == "__main__":
    command_lib.run(main)
