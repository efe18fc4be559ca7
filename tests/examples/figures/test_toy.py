"""The flow of figure 1 obeys its law in float64 and learns, and its picture and record hold what they should."""

import functools
import json
import math

import numpy as np
import pytest
import tensorflow as tf

pytest.importorskip("PIL")
pytest.importorskip("sklearn")

from examples.figures import toy

SHORT = 150  # steps


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """A figure after a short training: its record and its directory."""
    directory = tmp_path_factory.mktemp("toy") / "not" / "there"
    return toy.make(directory, steps=SHORT), directory


def mean_nats(distribution, points):
    return float(np.mean(distribution.log_prob(points).numpy(), dtype=np.float64))


def test_moons_are_scikit_learns():
    points, moon = toy.two_moons(1000, [0, 0])
    assert (points.shape, points.dtype) == ((1000, 2), np.float32)
    centres = np.where(moon[:, None], [1.0, 0.5], [0.0, 0.0])
    np.testing.assert_allclose(np.linalg.norm(points - centres, axis=1), 1, atol=5 * toy.NOISE)
    np.testing.assert_array_equal(points, toy.two_moons(1000, [0, 0])[0])
    assert not np.isin(points, toy.two_moons(1000, [0, 1])[0]).any()


def test_log_density_of_the_moons():
    # Its integral is 1, and its mean is above that of points which lie elsewhere.
    axis = np.linspace(-2, 3, 101)
    grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    assert np.exp(toy.moons_log_density(grid)).sum() * 0.05**2 == pytest.approx(1, abs=1e-4)
    points = toy.two_moons(2000, 0)[0]
    assert toy.moons_log_density(points).mean() > toy.moons_log_density(points[:, ::-1]).mean() + 1
    # This one is computed by hand: around a point amid the upper moon, an arc of density 1 / (2 pi) is nearly straight.
    straight = math.log(1 / (2 * math.pi) / (toy.NOISE * math.sqrt(2 * math.pi)))
    assert toy.moons_log_density(np.array([[0.0, 1.0]]))[0] == pytest.approx(straight, abs=0.02)


def test_law_in_float64():
    distribution = toy.toy_flow(couplings=4, width=5, dtype=tf.float64)
    for i, v in enumerate(distribution.trainable_variables):  # The last layers start at 0.
        v.assign_add(0.3 * tf.cast(tf.random.stateless_normal(v.shape, [i, 0]), tf.float64))
    x = tf.constant(toy.two_moons(20, 0)[0], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(x)
        z = distribution.bijector.inverse(x)
    jacobian = tape.batch_jacobian(z, x)
    assert np.abs(jacobian.numpy()[:, [0, 1], [1, 0]]).min(axis=0).max() > 1e-3  # Both values depend on both.
    expected = np.linalg.slogdet(jacobian)[1]
    np.testing.assert_allclose(distribution.bijector.inverse_log_det_jacobian(x), expected, rtol=1e-9, atol=1e-9)
    normal = -0.5 * (z.numpy() ** 2).sum(1) - math.log(2 * math.pi)
    np.testing.assert_allclose(distribution.log_prob(x), normal + expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(distribution.bijector.forward(tf.identity(z)), x, rtol=1e-9, atol=1e-9)


def test_untrained_flow_is_the_prior():
    x = toy.two_moons(10, 0)[0]
    np.testing.assert_allclose(
        toy.toy_flow().log_prob(x), -0.5 * (x**2).sum(1) - math.log(2 * math.pi), rtol=1e-5, atol=1e-5
    )


def test_short_training(short):
    record, _ = short
    held_out = toy.two_moons(10_000, [0, 1])[0]
    untrained = mean_nats(toy.toy_flow(), held_out)
    assert untrained + 0.5 < record["held_out_nats"] < record["true_nats"]
    assert record["true_nats"] == toy.moons_log_density(held_out).mean()
    assert 0 < record["standard_error"] < 0.02
    assert record["density_integral"] == pytest.approx(1, abs=0.01)


def test_record(short):
    record, directory = short
    assert json.loads((directory / "toy.json").read_text()) == record
    assert sorted(p.name for p in directory.iterdir()) == ["toy.json", "toy.png"]
    assert (record["figure"], record["steps"], record["seed"]) == ("toy", SHORT, 0)
    assert record["seconds"] > 0
    (picture,) = record["pictures"]
    assert picture["file"] == "toy.png"
    assert len(picture["alt"]) > 40


def test_picture_has_four_panels(short):
    record, directory = short
    picture = tf.io.decode_png((directory / "toy.png").read_bytes()).numpy()
    height, width, channels = picture.shape
    assert [width, height, channels] == [*record["pictures"][0]["size"], 3]
    groups = [2, 2, 4, 4]  # numbers of colours: of moons above, of quadrants below
    for i, (y, x) in enumerate(np.ndindex(2, 2)):
        panel = picture[y * height // 2 :, x * width // 2 :][: height // 2, : width // 2].astype(int)
        counts = []
        for colour in toy._COLOURS:
            # Dots are drawn half through on white.
            dot = 255 + (np.array(colour) - 255) * 160 / 255
            counts.append((np.abs(panel - dot).max(-1) < 8).sum())
        assert sum(count > 50 for count in counts) == groups[i]
        inside = panel[45:-45, 45:-45]
        lines = (np.ptp(inside, axis=-1) < 5) & (inside.max(-1) < 200)  # They are grey; few cross the view of f(x).
        assert lines.mean() > 0.004
        assert (panel[:40].max(-1) < 50).sum() > 50  # This is the title.


def test_same_seed_same_numbers(tmp_path, monkeypatch):
    # A small flow takes less time, and so does a picture that nobody looks at here.
    monkeypatch.setattr(toy, "toy_flow", functools.partial(toy.toy_flow, couplings=2, width=8))
    monkeypatch.setattr(toy, "draw", lambda *_: np.zeros([2, 2, 3], np.uint8))
    first, again, other = (toy.make(tmp_path / str(i), seed, steps=20) for i, seed in enumerate((3, 3, 4)))
    for key in ("held_out_nats", "true_nats", "density_integral"):
        # Sums over threads may be in another order.
        assert first[key] == pytest.approx(again[key], rel=1e-4)
        assert first[key] != other[key]
    assert first["held_out_nats"] < first["true_nats"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, "`seed`=-1: must be an int of at least 0"),
        ({"seed": 0.5}, "`seed`=0.5: must be an int of at least 0"),
        ({"steps": 0}, "`steps`=0: must be an int of at least 1"),
        ({"steps": True}, "`steps`=True: must be an int of at least 1"),
    ],
)
def test_wrong_arguments(arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        toy.make(tmp_path / "toy", **arguments)
    assert not list(tmp_path.iterdir())


def test_a_file_in_the_way_is_told_before_training(tmp_path, monkeypatch):
    (tmp_path / "toy").touch()
    monkeypatch.setattr(toy, "train", None)
    with pytest.raises(FileExistsError, match="toy"):
        toy.make(tmp_path / "toy")


def test_density_that_is_not_finite_stops_training():
    points = np.full((600, 2), np.nan, np.float32)
    with pytest.raises(FloatingPointError, match="step 0: log density nan, not finite"):
        toy.train(toy.toy_flow(couplings=2, width=4), points, 5)


@pytest.mark.slow
def test_full_training(tmp_path):
    record = toy.make(tmp_path)
    held_out = toy.two_moons(10_000, [0, 1])[0].astype(np.float64)
    train = toy.two_moons(20_000, [0, 0])[0].astype(np.float64)
    # The mean log density of a normal distribution that is fitted to the training points.
    mean, covariance = train.mean(0), np.cov(train.T)
    squares = np.einsum("ni,ij,nj->n", held_out - mean, np.linalg.inv(covariance), held_out - mean)
    gaussian = -0.5 * squares.mean() - 0.5 * np.linalg.slogdet(2 * np.pi * covariance)[1]
    assert record["held_out_nats"] > gaussian + 0.8
    assert record["held_out_nats"] > record["true_nats"] - 0.1
    assert record["density_integral"] == pytest.approx(1, abs=0.01)
