"""Trains under `MirroredStrategy` over two logical CPUs and alone, and prints both as JSON for test_distribute.py.

The program reads one case a line, and prints one line for each. It is a program because logical devices can be set up
only before TensorFlow starts.
"""

import functools
import json
import os
import pathlib
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
import tf_keras

from examples import data
from tests.examples.data.prepared import numbered, record_images
from tests.models import compiled, images, on_prior, tiny, values
from tests.training.steep import Steep
from tfp_realnvp import Adam, GlowImage, Muon, recalibrate, training_mode_bits_per_dim

# Without this epsilon, Adam would take whole steps along gradients that are 0 but for rounding.
OPTIMIZERS = {
    "sgd": lambda: tf_keras.optimizers.SGD(0.1),
    "adam": lambda: Adam(1e-2, epsilon=1e-2, global_clipnorm=100.0),
}


def batches(count, size=8):
    return tf.data.Dataset.from_tensor_slices(images(count)).batch(size)


def make(preset, optimizer, initial=None, recompute_gradients=False):
    distribution = tiny(preset=preset, residual_blocks=1, dtype=tf.float64, recompute_gradients=recompute_gradients)
    for v, value in zip(distribution.variables, initial or values(distribution.variables), strict=True):
        v.assign(value)
    return compiled(distribution, optimizer=OPTIMIZERS[optimizer](), averaging=0.5, l2=0.1)


def run(model, initial):
    """The movements of all variables in one step and in four, and what was logged."""
    variables = model.distribution.variables
    history = model.fit(batches(8), shuffle=False, verbose=0).history
    losses, norms = history["loss"], history["gradient_norm"]
    one = [value - start for value, start in zip(values(variables), initial, strict=True)]
    history = model.fit(batches(24), shuffle=False, verbose=0).history
    losses, norms = losses + history["loss"], norms + history["gradient_norm"]
    four = [value - start for value, start in zip(values(variables), initial, strict=True)]
    averages = [value - start for value, start in zip(values(model.averages.averages), initial, strict=True)]
    return {
        "losses": losses,
        "norms": norms,
        "one_step": listed(one),
        "four_steps": listed(four),
        "averages": listed(averages),
        "evaluated": model.evaluate(batches(16), verbose=0),
        "predicted": model.predict(batches(16), verbose=0).tolist(),
    }


def listed(arrays):
    return [a.ravel().tolist() for a in arrays]


@functools.cache
def run_alone(preset, optimizer):
    """The model that was trained on one device, its initial values, and what `run` returns for it."""
    model = make(preset, optimizer)
    initial = values(model.distribution.variables)
    return model, initial, run(model, initial)


def compare(strategy, preset, optimizer, gradients="kept"):
    model, initial, alone = run_alone(preset, optimizer)
    with strategy.scope():
        together = make(preset, optimizer, initial, recompute_gradients=gradients == "recomputed")
    return {
        "trainable": [v.trainable for v in model.distribution.variables],
        "names": [v.name for v in model.distribution.variables],
        "alone": alone,
        "together": run(together, initial),
    }


def uneven(strategy):
    """Losses with a last batch of 3 images, which does not halve."""
    with strategy.scope():
        model = make("paper", "sgd")
    history = model.fit(batches(8 + 3), verbose=0).history
    return [history["loss"][0], *model.evaluate(batches(8 + 3), verbose=0)]


def replicas_after_failure(strategy):
    """The weight on each replica and the error, when only the images of the second replica have no likelihood."""
    x = images(8)
    x[:4], x[4:] = 10, 200
    with strategy.scope():
        model = compiled(Steep(1.0, unlikely=100.0), optimizer=tf_keras.optimizers.SGD(0.1), l2=0.0)
    try:
        model.fit(tf.data.Dataset.from_tensor_slices(x).batch(8), verbose=0)
        error = None
    except FloatingPointError as caught:
        error = str(caught)
    weights = [float(v) for v in strategy.experimental_local_results(model.distribution.weights[0])]
    return {"error": error, "weights": weights}


def recalibrated(strategy):
    """Averages of statistics after `recalibrate`, and bits/dim: alone, inside of the strategy's scope, and outside."""
    alone = make("paper", "sgd")
    initial = values(alone.distribution.variables)
    pixels = [images(8, seed=i).astype("float32") + 0.5 for i in range(2)]

    def results(model):
        with model.evaluation_weights():
            recalibrate(model.distribution, pixels)
            bits = training_mode_bits_per_dim(model.distribution, pixels)
        averages = [
            [float(v) for v in copy.numpy().ravel()]
            for average in model.averages.averages
            for copy in strategy.experimental_local_results(average)[-1:]
        ]
        return {"averages": averages, "bits": bits.tolist(), "evaluated": model.evaluate(batches(16), verbose=0)}

    found = {"alone": results(alone)}
    with strategy.scope():
        model = make("paper", "sgd", initial)
        found["inside"] = results(model)
        model = make("paper", "sgd", initial)
    found["outside"] = results(model)
    try:
        strategy.run(recalibrate, args=(model.distribution, pixels))
        found["error"] = None
    except RuntimeError as caught:
        found["error"] = str(caught)
    return found


def started(strategy):
    """What a flow with `ActNorm`s is on each device after `fit` has started it, and after two steps by `Muon`."""

    def make(initial=None):
        flow = GlowImage(1, num_scales=1, depth=2, width=4, dtype=tf.float64)
        for v, value in zip(flow.variables, initial or values(flow.variables), strict=True):
            v.assign(value)
        return compiled(on_prior(flow, tf.float64), optimizer=Muon(0.0), averaging=0.5)

    def fitted(model, x):
        found = []
        for rate in (0.0, 0.1):
            model.optimizer.learning_rate = rate
            model.fit(x, epochs=1, steps_per_epoch=2, verbose=0)
            copies = [strategy.experimental_local_results(v) for v in model.distribution.variables]
            found += [listed([c[i].numpy() for c in copies]) for i in (0, -1)]
            found.append(listed(values(model.averages.averages)))
        return found

    x = batches(16)
    alone = make()
    initial = values(alone.distribution.variables)
    found = {"alone": fitted(alone, x)}
    for name in ("plain", "distributed"):
        with strategy.scope():
            model = make(initial)
        found[name] = fitted(model, x if name == "plain" else strategy.experimental_distribute_dataset(x))
    return found


def densities(strategy):
    """Pictures and densities: alone, inside of the strategy's scope, and outside; and the error in a replica."""
    alone = make("paper", "sgd")
    alone.fit(batches(8), verbose=0)
    initial = values(alone.distribution.variables)
    with strategy.scope():
        model = make("paper", "sgd", initial)
    for average, value in zip(model.averages.averages, values(alone.averages.averages), strict=True):
        average.assign(value)

    def results(model):
        return [model.sample(4, seed=1, whole=False).numpy().tolist(), model.log_prob(images(4)).numpy().tolist()]

    found = {"alone": results(alone), "outside": results(model)}
    with strategy.scope():
        found["inside"] = results(model)
    try:
        strategy.run(lambda: model.log_prob(images(4)))
        found["error"] = None
    except RuntimeError as caught:
        found["error"] = str(caught)
    return found


def shares(strategy):
    """The rows of each batch that each replica gets, and the batches that one device gets."""
    pixels, vectors = numbered(21), np.arange(21, dtype=np.float32)[:, np.newaxis]
    found = []
    with tempfile.TemporaryDirectory() as directory:
        for split in (
            data.ArrayImages(pixels, vectors),
            record_images(pathlib.Path(directory), pixels, vectors, crop=2),
        ):
            make = functools.partial(data.train_batches, split, 8, seed=3, start_step=2, num_steps=7, flip=True)
            distributed = strategy.distribute_datasets_from_function(lambda c, make=make: make(input_context=c))
            together = [tf.nest.map_structure(strategy.experimental_local_results, batch) for batch in distributed]
            found.append(
                {
                    "alone": tf.nest.map_structure(listed_as_is, list(make())),
                    "together": tf.nest.map_structure(listed_as_is, together),
                }
            )
    return found


def listed_as_is(tensor):
    return tensor.numpy().tolist()


def main():
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    assert strategy.num_replicas_in_sync == 2
    edges = {
        "uneven": uneven,
        "failure": replicas_after_failure,
        "recalibration": recalibrated,
        "densities": densities,
        "start": started,
        "shares": shares,
    }
    for case in map(str.strip, sys.stdin):
        result = edges[case](strategy) if case in edges else compare(strategy, *case.split())
        print("JSON " + json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
