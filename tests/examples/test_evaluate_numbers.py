"""`examples.evaluation` finds the numbers that NumPy computes in closed form."""

import dataclasses
import math
import types

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from examples import config as config_lib
from examples import evaluation, experiment
from examples import run as run_lib
from examples.data import ArrayImages, ImageData
from examples.data.images import Images
from examples.settings import Settings
from tests.models import DIMENSIONS, SHAPE, assert_equal, compiled, images, normal, normal_bits, on_prior, tiny, values
from tfp_realnvp import GlowImage, PixelLogit

tfd = tfp.distributions
NATS = DIMENSIONS * math.log(2)


def known(distribution, pixels, tmp_path, *, whole=True, **options):
    """An `Experiment` around a distribution that NumPy knows; all splits are these pixels."""
    model = compiled(distribution, dequantize=whole, seed=3)
    if whole:
        split = ArrayImages(pixels.astype(np.uint8))
    else:
        split = Unrounded(np.zeros(pixels.shape, np.uint8), pixels.reshape(len(pixels), -1).astype(np.float32))
        split.conditioning_size = 0
    names = ("train", "validation", "test")
    data = ImageData("k", "known", **dict.fromkeys(names, split), levels=256, splits=dict.fromkeys(names, "x"))
    config = config_lib.Config(load=lambda sources: data, flow=config_lib.Flow(), steps=1, evaluations=1, batch_size=8)
    return experiment.Experiment(
        Settings("known", config.values, config_lib.Sources()),
        dataclasses.replace(config, **options),
        dataclasses.replace(data, whole=whole),
        model,
        run_lib.Run(tmp_path, {}),
        types.SimpleNamespace(checkpoint=types.SimpleNamespace(seconds=tf.Variable(60.0))),
    )


class Unrounded(ArrayImages):
    """Pixels with their noise, kept as rows beside images of zeros."""

    dtype = tf.float32

    def example(self, record, seed):
        return tf.reshape(super().example(record, seed)[1], SHAPE), None


def logit_bits(y):
    """bits/dim [N] of a standard normal behind `PixelLogit`, float64."""
    p = 0.05 + 0.9 * np.asarray(y, np.float64) / 256
    x = np.log(p / (1 - p))
    log_prob = -0.5 * x**2 - 0.5 * np.log(2 * np.pi) + np.log(0.9 / 256) - np.log(p) - np.log(1 - p)
    return -log_prob.sum((1, 2, 3)) / NATS


@pytest.mark.parametrize(
    ("distribution", "bits"),
    [(normal, normal_bits), (lambda: on_prior(PixelLogit()), logit_bits)],
    ids=["normal", "flow"],
)
def test_closed_form(distribution, bits, tmp_path):
    y = images(21) + np.random.RandomState(1).uniform(size=[21, *SHAPE]).astype(np.float32)
    found, per_image = evaluation.evaluate(known(distribution(), y, tmp_path, whole=False), "test", "it")
    expected = bits(y)
    np.testing.assert_allclose(per_image["bits_per_dim"], expected, rtol=1e-5)
    assert found["bits_per_dim"] == pytest.approx(expected.mean(), abs=1e-5)
    assert found["standard_error"] == pytest.approx(expected.std() / math.sqrt(21), rel=1e-4)
    assert found["standard_error"] == per_image["bits_per_dim"].std() / math.sqrt(21)
    assert (found["images"], found["split_is"], found["bound"]) == (21, "all 21: x", False)
    assert found["training_mode_gap"] == pytest.approx(0, abs=1e-6)
    assert found["importance_weighted"] is None
    assert found["training_flop"] == 0


def test_the_flop_of_a_training_are_those_of_its_convolutions(tmp_path):
    it = known(on_prior(GlowImage(1, num_scales=1, depth=2, width=4)), images(8), tmp_path)
    it.model.optimizer.iterations.assign(3)
    found, _ = evaluation.evaluate(it, "test", "it")
    assert found["images_seen"] == 3 * 8
    # Of two networks, at 2x2 positions: 3x3 convolutions of 2 and 4 channels to 4, and two of 1x1 from 4 to 4.
    multiplications = 2 * 4 * (9 * 2 * 4 + 9 * 4 * 4 + 2 * 4 * 4)
    assert found["training_flop"] == pytest.approx(24 * 2 * 3 * multiplications)


def test_uniform_has_eight_bits_whatever_the_noise(tmp_path):
    distribution = tfd.Independent(tfd.Uniform(tf.zeros(SHAPE), 256.0), 3)
    found, _ = evaluation.evaluate(
        known(distribution, images(9), tmp_path), "test", "it", noise_draws=2, importance_samples=4
    )
    assert (found["bits_per_dim"], found["standard_error"]) == (pytest.approx(8, abs=1e-5), pytest.approx(0, abs=1e-6))
    assert found["importance_weighted"]["bits_per_dim"] == pytest.approx(8, abs=1e-5)


# This normal distribution is as narrow as a pixel's bin, so that the bounds differ from the truth and each other.
LOC, SCALE = 100.3, 1.0


def narrow(tmp_path, count=21, **options):
    x = np.floor(np.random.RandomState(0).normal(LOC, SCALE, [count, *SHAPE]))
    return x, known(tfd.Independent(tfd.Normal(tf.fill(SHAPE, LOC), SCALE), 3), x, tmp_path, **options)


def test_draws_and_bounds_are_those_of_predict(tmp_path):
    x, it = narrow(tmp_path)
    draws = np.stack([it.model.predict(x, batch_size=8, draw=k, verbose=0) for k in range(16)]).astype(np.float64)
    cdf = np.vectorize(lambda v: 0.5 * math.erfc(-(v - LOC) / SCALE / math.sqrt(2)))
    exact = -np.log(cdf(x + 1) - cdf(x)).sum((1, 2, 3)).mean() / NATS
    bounds = []
    for number in (1, 4, 16):
        found, per_image = evaluation.evaluate(
            it, "test", "it", noise_draws=number, importance_samples=number, count=20
        )
        plain = draws[:number, :20].mean(0)
        np.testing.assert_allclose(per_image["bits_per_dim"], plain, rtol=1e-12)
        assert found["bits_per_dim"] == pytest.approx(plain.mean(), rel=1e-12)
        assert found["standard_error"] == pytest.approx(plain.std() / math.sqrt(20), rel=1e-12)
        assert (found["noise_draws"], found["images"], found["split_is"]) == (number, 20, "first 20 of 21: x")
        if number == 1:
            assert list(per_image) == ["bits_per_dim"]
            bounds.append(found["bits_per_dim"])
            continue
        expected = -np.log(np.exp(-draws[:number, :20] * NATS).mean(0)) / NATS
        np.testing.assert_allclose(per_image["importance_weighted"], expected, rtol=1e-12)
        weighted = found["importance_weighted"]
        assert weighted["samples"] == number
        assert weighted["bits_per_dim"] == pytest.approx(expected.mean(), rel=1e-12)
        assert weighted["standard_error"] == pytest.approx(expected.std() / math.sqrt(20), rel=1e-12)
        bounds.append(weighted["bits_per_dim"])
        # It is never above the plain one of the same draws, and by Jensen's inequality on average not below the truth.
        assert (expected <= plain).all()
        assert weighted["bits_per_dim"] > exact - 2 * weighted["standard_error"]
    assert bounds[0] > bounds[1] > bounds[2]
    assert abs(bounds[2] - exact) < 0.3 * (bounds[0] - exact)


def test_files_of_unknown_length_in_executions_of_several_steps(tmp_path):
    x, it = narrow(tmp_path)

    class Files(Images):
        shape = SHAPE

        def __len__(self):
            return len(x)

        def in_order(self, begin, end):
            return tf.data.Dataset.from_tensor_slices(x.astype(np.uint8)[begin:end]).filter(lambda image: True)

        def shuffled(self, seed, batch_size, start_step, rows):
            raise NotImplementedError

        def example(self, record, seed):
            return record, None

        def damage(self):
            return None

    several = compiled(it.model.distribution, seed=3, options={"steps_per_execution": 2})
    files = dataclasses.replace(it, images=dataclasses.replace(it.images, test=Files()), model=several)
    expected, per_image = evaluation.evaluate(it, "test", "it", noise_draws=2)
    found, of_files = evaluation.evaluate(files, "test", "it", noise_draws=2)
    assert found["bits_per_dim"] == expected["bits_per_dim"]
    np.testing.assert_array_equal(of_files["bits_per_dim"], per_image["bits_per_dim"])


@pytest.mark.parametrize("averaging", [None, 0.5])
def test_weights_are_those_of_evaluate_and_stay(averaging, tmp_path):
    _, it = narrow(tmp_path)
    model = compiled(tiny(), averaging=averaging)
    model.fit(images(32), batch_size=8, verbose=0)
    it = dataclasses.replace(it, model=model, config=dataclasses.replace(it.config, averaging=averaging))
    kept = [*model.distribution.variables, *(model.averages.variables if averaging else ())]
    before = values(kept)
    found, _ = evaluation.evaluate(it, "test", "it")
    assert found["bits_per_dim"] == pytest.approx(model.evaluate(it.images.test.pixels, batch_size=8, verbose=0)[1])
    assert found["weights"] == ("last" if averaging is None else "averaged")
    assert_equal(values(kept), before)


def test_not_finite(tmp_path):
    x, it = narrow(tmp_path)
    x[12] = np.nan
    with pytest.raises(FloatingPointError, match=r"1 of 21 images is not finite, of image 12 first.*--recalibrate"):
        evaluation.evaluate(known(normal(), x, tmp_path, whole=False), "test", "it")
    found, _ = evaluation.evaluate(it, "test", "it")
    assert "warning" not in evaluation.report(found)
    assert "warning" in evaluation.report(found | {"training_mode_gap": math.nan})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"noise_draws": 2, "importance_samples": 5},
            "`noise_draws`=2: must be 1 for known, whose pixels are no whole",
        ),
        ({"importance_samples": 5}, "`importance_samples`=5: must be 1 for known.*leave it out"),
        ({"noise_draws": 0}, "`noise_draws`=0: must be an int of at least 1"),
        ({"importance_samples": 1.5}, "`importance_samples`=1.5: must be an int of at least 1"),
        ({"count": 0}, "`images`=0: must be an int of at least 1"),
        ({"recalibration_images": -1}, "`recalibrate`=-1: must be an int of at least 0"),
    ],
    ids=str,
)
def test_refused_request(arguments, message, tmp_path):
    it = known(normal(), images(), tmp_path, whole=False)
    with pytest.raises(ValueError, match=message):
        evaluation.evaluate(it, "test", "it", **arguments)


def test_recalibration_says_how_many_images_it_took(tmp_path):
    _, it = narrow(tmp_path)
    for count, taken in {3: 3, 1000: 16}.items():  # The 21 images make batches of 8; the last is left out.
        fresh = dataclasses.replace(it, model=compiled(tiny()))
        found, _ = evaluation.evaluate(fresh, "test", "it", recalibration_images=count)
        assert found["statistics"] == f"recalibrated on the first {taken} training images"
