"""The ablations: each row is what it says, and the command measures rows, once."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from examples import config as config_lib
from examples.ablations import measured
from examples.ablations.noise import WithLearnedNoise
from examples.ablations.rows import BASE, ROWS
from examples.models import Form, count_parameters
from tests.examples.commands import assert_refused, finished
from tests.time_limits import HANG_SECONDS
from tfp_realnvp import ActNorm, AffineCoupling, ChannelMixing

PROGRAM = "ablate"
TINY = dataclasses.replace(config_lib.get("cifar10_plus_small"), flow=config_lib.Glow(num_scales=2, depth=2, width=4))
FORM = Form((8, 8, 1), 17, ())
# Rows of one step, over a small flow.
SETUP = """
from examples import ablate
small_glow = dataclasses.replace(genuine("digits_plus"), flow=config.Glow(num_scales=1, depth=1, width=4))
patch.setattr(config, "get", lambda name: small_glow)
patch.setattr(ablate, "_TIMED_STEPS", 2)
patch.setattr(ablate, "_UNTIMED_STEPS", 1)
"""


def model_of(name):
    row = ROWS[name]
    return row.build(row.config(TINY), FORM, 0)


def count(model, kind):
    return sum(isinstance(part, kind) for part in model.distribution.submodules)


@pytest.mark.parametrize("name", ROWS)
def test_each_row_has_a_density(name):
    images = tf.cast(tf.random.stateless_uniform([2, 8, 8, 1], (0, 1), maxval=17, dtype=tf.int32), tf.uint8)
    assert np.isfinite(model_of(name).predict(ROWS[name].prepare(images), verbose=0)).all()


def test_no_row_is_another_one():
    for config in (TINY, config_lib.get("cifar10_plus_small"), config_lib.get("cifar10_plus")):
        described = [json.dumps(row.values(config), sort_keys=True) for row in ROWS.values()]
        assert len(set(described)) == len(ROWS)


def test_rows_have_the_parts_that_they_name():
    base = model_of(BASE)
    assert (count(base, ActNorm), count(base, ChannelMixing), count(base, AffineCoupling)) == (3, 3, 4)
    assert count(model_of("without_actnorm"), ActNorm) == 0
    assert count(model_of("without_mixing"), ChannelMixing) == 0
    assert count(model_of("without_split_prior"), AffineCoupling) == 3
    assert type(model_of("adamax").optimizer).__name__ == "Adamax"
    extra = count_parameters(model_of("gated")) - count_parameters(base)
    assert extra == 3 * (4 * 4 + 4)  # A 1x1 convolution of width 4, in each of three couplings.
    assert count_parameters(model_of("normalised")) - count_parameters(base) == 3 * 2 * (4 + 4)


def test_halves_change_by_turns_without_mixing():
    couplings = [
        p for p in model_of("without_mixing").distribution.bijector.submodules if isinstance(p, AffineCoupling)
    ]
    steps = [c for c in couplings if c.name == "coupling"]
    first = [c.mask.changed_channels(4).start for c in steps]
    assert sorted(first) == [0, 0, 2] or sorted(first) == [0, 2, 2]


def test_learned_noise_has_the_density_that_it_says():
    tfd = tfp.distributions
    tf.random.set_seed(0)
    uniform = tfd.Sample(tfd.Uniform(0.0, 4.0), [2, 2, 1])
    distribution = WithLearnedNoise(uniform, 4, None)
    for i, v in enumerate(distribution.trainable_variables):
        v.assign_add(0.05 * tf.random.stateless_normal(v.shape, (i, 0)))
    images = tf.tile(tf.reshape([0.0, 1.0, 3.0, 2.0], [1, 2, 2, 1]), [100_000, 1, 1, 1])
    noise, log_q = distribution._noise(images)
    assert tf.reduce_min(noise) >= 0
    assert tf.reduce_max(noise) <= 1
    assert tf.math.reduce_std(log_q) > 0.02
    # The mean of 1 / q over draws of q is the volume in which the noise lies.
    inverse = tf.exp(-log_q).numpy()
    np.testing.assert_allclose(inverse.mean(), 1, atol=5 * inverse.std() / len(inverse) ** 0.5)
    # A density of 1 / 4 in each of four dimensions, and a lower bound of it.
    log_probs = distribution.log_prob(images).numpy()
    np.testing.assert_allclose(np.exp(log_probs).mean(), 4.0**-4, rtol=0.05)
    assert log_probs.mean() < -4 * np.log(4)


def test_the_command_measures_each_row_once(commands, tmp_path):
    arguments = ["--config=small", f"--out={tmp_path}", "--row=base", "--row=adam", "--row=learned_noise"]
    first = finished(commands(*arguments, "--seconds=0.1", setup=SETUP))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert {path.name for path in before} == {
        f"{r}.{e}" for r in ("base", "adam", "learned_noise") for e in ("json", "npy")
    }
    found = json.loads((tmp_path / "adam.json").read_text())
    per_image = np.load(tmp_path / "adam.npy")
    assert len(per_image) == found["test_images"] == 200
    assert found["bits_per_dim"] == pytest.approx(per_image.mean(), rel=1e-6)
    assert found["given"]["row"]["config"]["optimizer"] == "adam"
    assert 0 < found["seconds_per_step"] < HANG_SECONDS
    assert found["images"] == 64 * found["steps"]
    assert f"| adam: Adam, the same rate | {per_image.mean():.4f} | " in first
    gap = (per_image - np.load(tmp_path / "base.npy")).mean()
    assert f"{gap:+.4f} ± " in first
    again = finished(commands(*arguments, "--seconds=0.1", setup=SETUP))
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert again.splitlines() == first.splitlines()[-5:]
    # A row that was measured otherwise is refused, whichever rows are asked for.
    assert_refused(
        commands(f"--out={tmp_path}", "--config=small", "--row=seed", "--seconds=0.2", setup=SETUP),
        "adam.json was measured with another seconds; name another directory",
    )


DAMAGE = {
    "no row": (lambda directory: (directory / "mine.json").write_text("{}"), "mine.json is of no row"),
    "cut": (lambda directory: (directory / "base.json").write_text("{"), r"base.json or its .npy is damaged"),
    "empty": (lambda directory: (directory / "base.npy").write_bytes(b""), r"base.json or its .npy is damaged"),
    "text": (lambda directory: np.save(directory / "base.npy", np.array(["x"])), "a value is of another type"),
    "row": (lambda directory: change_row(directory), "base.json was measured with another row;"),
}


def change_row(directory):
    path = directory / "base.json"
    path.write_text(path.read_text().replace('"learned_noise": false', '"learned_noise": true'))


@pytest.mark.parametrize("name", DAMAGE)
def test_what_is_no_measurement_is_refused(name, tmp_path):
    given = {name: {"seconds": 1.0, "row": row.values(TINY)} for name, row in ROWS.items()}
    values = {"bits_per_dim": 3.0, "seconds_per_step": 0.1, "images": 4, "parameters": 5, "given": given[BASE]}
    measured.write(tmp_path, BASE, values, np.ones(4, np.float32))
    assert measured.read(tmp_path, given)[BASE][0]["bits_per_dim"] == 3.0
    damage, message = DAMAGE[name]
    damage(tmp_path)
    with pytest.raises(ValueError, match=message):
        measured.read(tmp_path, given)
