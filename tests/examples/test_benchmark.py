"""The benchmark counts and measures what it says. No test says how fast anything is."""

import dataclasses
import json
import time
import types

import numpy as np
import pytest
import tensorflow as tf

from examples import config as config_lib
from examples import data
from examples.benchmarks import compiled, feed, first_step, glow, operations, speed, turns
from examples.benchmarks.convolutions import Convolution, bare, convolutions, gigamultiplications
from tests import models
from tests.examples.commands import finished
from tests.time_limits import HANG_SECONDS

PROGRAM = "benchmark"
TINY = dataclasses.replace(
    config_lib.get("digits"), flow=config_lib.Flow(num_scales=1, width=2, residual_blocks=0), batch_size=4
)


def graph(function):
    return tf.function(function).get_concrete_function().graph


def two_layers():
    """The gradients of a 3x3 and a 1x1 convolution, but for that of the images."""
    x = tf.ones([2, 4, 4, 3])
    filters = [tf.Variable(tf.ones([3, 3, 3, 5])), tf.Variable(tf.ones([1, 1, 5, 2]))]

    def gradients():
        with tf.GradientTape() as tape:
            h = tf.nn.conv2d(x, filters[0], 1, "SAME")
            y = tf.reduce_sum(tf.nn.conv2d(tf.nn.relu(h), filters[1], 1, "SAME") ** 2)
        return tape.gradient(y, filters)

    return gradients


def test_convolutions_of_a_graph():
    first, second = ((2, 4, 4, 3), (3, 3, 3, 5), tf.float32), ((2, 4, 4, 5), (1, 1, 5, 2), tf.float32)
    found = convolutions(graph(two_layers()))
    assert found[:2] == [Convolution("Conv2D", *first), Convolution("Conv2D", *second)]
    assert sorted(found[2:], key=lambda c: (c.images, c.type)) == [
        Convolution("Conv2DBackpropFilter", *first),
        Convolution("Conv2DBackpropFilter", *second),
        Convolution("Conv2DBackpropInput", *second),
    ]
    assert found[0].multiplications == 2 * 16 * 9 * 3 * 5
    assert gigamultiplications(found) == pytest.approx((2 * 2 * 16 * 9 * 15 + 3 * 2 * 16 * 10) / 1e9)


def test_convolutions_within_a_branch_are_found():
    filters = tf.Variable(tf.ones([3, 3, 1, 1]))
    x = tf.ones([1, 4, 4, 1])

    def branch():
        return tf.cond(filters[0, 0, 0, 0] > 0, lambda: tf.nn.conv2d(x, filters, 1, "SAME"), lambda: x)

    assert len(convolutions(graph(branch))) == 1


def test_strided_convolutions_are_refused():
    with pytest.raises(ValueError, match="Conv2D: must have stride 1"):
        convolutions(graph(lambda: tf.nn.conv2d(tf.ones([1, 4, 4, 1]), tf.ones([1, 1, 1, 1]), 2, "SAME")))


@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16])
def test_bare_convolutions_are_the_same_ones(dtype):
    work = [dataclasses.replace(w, dtype=dtype) for w in convolutions(graph(two_layers()))]
    run = bare(work)
    assert convolutions(run.get_concrete_function().graph) == work
    assert np.isfinite(run().numpy())


def test_a_network_of_a_config_without_its_data():
    model, noise = speed.open_model("cifar10_small", "float32", count=2)
    assert noise.image_shape == (32, 32, 3)
    shape = [2, 32, 32, 3]
    work = convolutions(graph(lambda: model.distribution.log_prob(tf.fill(shape, 1.5))))
    # There are 4 + 2 * 6 couplings, each of 2 blocks: conv_in, 2 + 2 in blocks, 3 taps, conv_out.
    assert len(work) == 16 * 9
    assert {w.dtype for w in work} == {tf.float32}


@pytest.mark.parametrize("name", [name for name in config_lib.names() if name != "folder"])
def test_configs_know_their_images(name):
    config = config_lib.get(name)
    assert config.image_shape is not None
    assert config.image_shape[0] % config.flow.size_divisor == 0


def test_a_config_of_other_images_is_refused():
    noise = TINY.load(config_lib.Sources())
    with pytest.raises(ValueError, match=r"`image_shape`=\(9, 9, 1\) and `levels`=17.*\(8, 8, 1\) and 17; correct"):
        dataclasses.replace(TINY, image_shape=(9, 9, 1)).check_images(noise)


def test_glow_has_the_work_that_is_asked_for(monkeypatch):
    monkeypatch.setattr(glow, "_STEPS_PER_BLOCK", 1)
    asked = 500_000
    model = glow.glow_model((8, 8, 1), 17, asked)
    assert sum(len(network.trainable_variables) for network in model.networks) >= 3 * 6 + 2 * 2
    held = {id(v) for v in model.trainable_variables}
    assert all(id(v) in held for network in model.networks for v in network.trainable_variables)
    found = sum(
        np.prod(layer.kernel.shape) * np.prod(layer.output_shape[1:3])
        for network in model.networks
        for layer in network.layers
    )
    assert found == pytest.approx(asked, rel=0.3)  # Hidden channels come by eights.


def test_rates():
    found = turns.rates({"slow": lambda: time.sleep(0.02), "fast": lambda: time.sleep(0.01)}, seconds=0.2, turns=2)
    assert 1 < found["fast"] / found["slow"] < 3
    assert found["slow"] <= 50


def by_xla(function, *arguments):
    """Whether a `tf.function`, or one that it calls, is compiled by XLA."""
    concrete = function.get_concrete_function(*arguments)
    called = concrete.graph.as_graph_def().library.function
    return any(one.attr["_XlaMustCompile"].b for one in (concrete.function_def, *called))


@pytest.mark.parametrize("jit_compile", [True, False])
def test_xla_compiles_every_phase_where_it_is_asked_to(jit_compile):
    model = models.compiled(models.tiny())
    steps = speed.steps(model, models.images(4), jit_compile)
    assert tuple(steps) == speed.PHASES
    train = steps.pop("train")
    assert by_xla(train.func, *train.args) == jit_compile
    assert [by_xla(step) for step in steps.values()] == [jit_compile] * 2


def test_speed_under_xla(monkeypatch):
    noise = types.SimpleNamespace(train=data.ArrayImages(models.images(4)), image_shape=models.SHAPE)
    monkeypatch.setattr(speed, "open_model", lambda *_: (models.compiled(models.tiny()), noise))
    found = compiled.measure("digits", "float32", 4, seconds=0.1)
    rates, first = found["images_per_second"], found["first_call_seconds"]
    for phase in speed.PHASES:
        assert found["xla_over_plain"][phase] == rates["xla"][phase] / rates["plain"][phase]
        for kind in ("xla", "plain"):
            assert 0 < rates[kind][phase] < np.inf
            assert first[kind][phase] > 4 / rates[kind][phase]  # Tracing is in it.
    table = "\n".join(compiled.table(found))
    assert "XLA, float32, images of 4x4x1" in table
    assert f"{found['xla_over_plain']['sample']:.3f}" in table


def test_operations_of_a_network(monkeypatch):
    monkeypatch.setattr(config_lib, "get", lambda name: TINY)
    found = operations.measure("tiny", "float32", 4)
    for phase in ("train", "log_prob"):
        types = found[phase]["operations"]
        assert {"FusedConv2D", "ReadVariableOp"} <= set(types)
        assert list(types.values()) == sorted(types.values(), reverse=True)
        assert min(types.values()) > 0
    assert "Conv2DBackpropInput" in set(found["train"]["operations"]) - set(found["log_prob"]["operations"])
    assert sum("FusedConv2D" in line for line in operations.table(found)) == 2


def test_training_that_waits_is_seen_to_wait():
    model = models.compiled(models.normal())
    quick = tf.data.Dataset.from_tensors(models.images(4)).repeat()

    def slow(batch):
        time.sleep(0.05)
        return batch

    late = quick.map(lambda batch: tf.ensure_shape(tf.numpy_function(slow, [batch], tf.uint8), batch.shape))
    shares = feed.shares_waiting(model, late)
    assert len(shares) == 10
    assert all(0 < share <= 1 for share in shares)
    assert np.median(shares) > 0.5 > np.median(feed.shares_waiting(model, quick))


ONE_GLOW_STEP = "from examples.benchmarks import glow\npatch.setattr(glow, '_STEPS_PER_BLOCK', 1)"


def test_the_command(commands, tmp_path):
    path = tmp_path / "figures.json"
    arguments = ["--part=speed", "--part=input", "--seconds=0.1", "--dtype=float32", "--batch_size=4", f"--json={path}"]
    table = finished(commands(*arguments, setup=ONE_GLOW_STEP))
    found = json.loads(path.read_text())
    assert found["batch_size"] == 4
    speeds = found["speed"]["images_per_second"]
    assert set(speeds) == {"float32", "glow"}
    assert found["speed"]["ratios"]["float32 train / bare convolutions"] > 0
    work = found["speed"]["gigamultiplications_a_batch"]["float32"]
    assert 2 < work["train"] / work["log_prob"] <= 3
    assert found["input"]["input_over_training"] > 0
    for line in ("digits, batches of 4", "its convolutions", "float32 train / tfb.Glow", "waiting for input"):
        assert line in table


ENDING = """
import tensorflow as tf

def measure():
    {event}

patch.setattr(program, "measure", measure)
"""


def test_the_command_ends_in_one_line(commands):
    stop = "os.kill(os.getpid(), signal.SIGINT)"
    fail = "raise tf.errors.ResourceExhaustedError(None, None, 'no memory\\nfor it')"
    stopped, failed = (commands(setup=ENDING.format(event=event)) for event in (stop, fail))
    assert (stopped.returncode, stopped.stderr) == (130, "stopped; only the parts above were measured\n")
    assert (failed.returncode, failed.stderr) == (1, "error: no memory for it\n")


def test_a_first_step_that_fails_is_explained():
    with pytest.raises(RuntimeError, match=r"`config`='typo'.*status 1.*must be one of.*lower `batch_size`"):
        first_step.measure("typo", "float32", 4)


@pytest.mark.slow
def test_first_step():
    found = first_step.measure("digits", "float32", 8)
    assert 0 < found["seconds"] < HANG_SECONDS
    assert found["traces"] == 1
    assert found["peak_memory"] > 200
    assert "MiB" in "\n".join(first_step.table({"float32": found}))
