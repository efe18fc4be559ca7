"""Figure 1: the couplings of `RealNVPImage` carry two moons to a normal distribution and back."""

import json
import math
import pathlib
import shlex
import sys
import time

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from examples import plots
from examples import run as run_lib
from examples.data.image_data import check_int, import_extra
from tfp_realnvp import AffineCoupling, ChannelHalves, Composition

NOISE = 0.1  # standard deviation around the moons
STEPS = 4000
_TRAIN, _HELD_OUT, _BATCH = 20_000, 10_000, 512
_DATA_VIEW = ((-1.5, -1.75), (2.5, 2.25))  # corners: left and bottom, right and top
_LATENT_VIEW = ((-3.5, -3.5), (3.5, 3.5))
_INTEGRAL = ((-5.0, -5.0), (6.0, 5.5))  # far beyond the moons, because a flow with little training is wide
_COLOURS = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167))  # The colour-blind can tell them apart too.
_PANEL, _MARGIN = 480, 40  # pixels: side of a panel, space around it
_OVERSAMPLING = 3  # Panels are drawn this many times as large and then reduced, for soft edges.
_ALT = (
    "Four panels. Above: two moons of data under a square grid; f carries them to one round cloud and bends the grid. "
    "Below: samples of the prior in four colours under a square grid; the inverse carries them to two moons."
)


def two_moons(count, seed):
    """Returns points, float32 [count, 2], and the moon of each, 0 or 1, int [count]; `seed` may be a list of ints."""
    datasets = import_extra("sklearn.datasets")
    points, moon = datasets.make_moons(count, noise=NOISE, random_state=np.random.RandomState(seed))
    return points.astype(np.float32), moon


def moons_log_density(points):
    """Returns log densities [N] in nats under the distribution of `two_moons`; no model has a higher mean."""
    angles = (np.arange(500) + 0.5) * np.pi / 500
    upper = np.stack([np.cos(angles), np.sin(angles)], -1)
    # As in scikit-learn, the lower moon is the upper one turned.
    centres = np.concatenate([upper, [1.0, 0.5] - upper])
    squares = sum((points[:, None, i] - centres[:, i]) ** 2 for i in range(2))
    kernels = -squares / (2 * NOISE**2) - math.log(2 * math.pi * NOISE**2)
    return np.logaddexp.reduce(kernels, axis=1) - math.log(len(centres))


def toy_flow(*, couplings=10, width=64, seed=0, dtype=tf.float32):
    """Returns a `tfd.TransformedDistribution` over [2]: a Real NVP as for images, of one pixel with two channels."""
    tfd, tfb = tfp.distributions, tfp.bijectors
    as_image = tfb.Reshape(event_shape_in=[2], event_shape_out=[1, 1, 2])
    parts = [
        AffineCoupling(ChannelHalves(i % 2), _mlp(width, 2 * couplings * seed + 2 * i, dtype), dtype=dtype)
        for i in range(couplings)
    ]
    flow = tfb.Chain([tfb.Invert(as_image), Composition(parts, name="couplings", dtype=dtype), as_image])
    prior = tfd.Sample(tfd.Normal(tf.zeros([], dtype), 1.0), sample_shape=[2])
    return tfd.TransformedDistribution(prior, flow)


def _mlp(width, seed, dtype):
    """Returns a network from the conditioning half to shift and log-scale, which are 0 at first: the identity."""
    starts = [tf_keras.initializers.GlorotUniform(seed + i) for i in range(2)]
    layers = [tf_keras.layers.Dense(width, "silu", kernel_initializer=start, dtype=dtype) for start in starts]
    model = tf_keras.Sequential([*layers, tf_keras.layers.Dense(4, kernel_initializer="zeros", dtype=dtype)])
    model.build([None, 1, 1, 2])
    return model


def train(distribution, points, steps, seed=0):
    """Maximises the mean log density of points [N, 2] in `steps` steps of Adam; raises FloatingPointError for a NaN."""
    optimizer = tf_keras.optimizers.Adam(tf_keras.optimizers.schedules.CosineDecay(1e-2, steps))
    variables = distribution.trainable_variables
    optimizer.build(variables)
    points = tf.constant(points)

    @tf.function
    def step(number):
        rows = tf.random.stateless_uniform([_BATCH], [seed, number], 0, len(points), tf.int32)
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(distribution.log_prob(tf.gather(points, rows)))
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    with import_extra("tqdm").trange(steps, desc="two moons", unit="step", leave=False, disable=None) as bar:
        for number in bar:
            loss = step(tf.constant(number))
            if number % 100 == 0 or number == steps - 1:  # Reading every loss would wait for every step.
                bar.set_postfix_str(f"{-loss:.3f} nats")
                if not math.isfinite(loss):
                    raise FloatingPointError(f"step {number}: log density {-loss}, not finite; take another seed.")


def density_integral(distribution, cells=1000):
    """Returns the integral of the density over a box that holds nearly all of it, by the midpoint rule."""
    (left, bottom), (right, top) = _INTEGRAL
    x, y = (a + (np.arange(cells) + 0.5) * (b - a) / cells for a, b in ((left, right), (bottom, top)))
    density = tf.function(lambda p: tf.reduce_sum(tf.exp(distribution.log_prob(p))))
    rows = (np.stack(np.broadcast_arrays(x, y_i), -1) for y_i in np.split(y[:, None], cells // 20))
    total = sum(float(density(tf.constant(r.reshape(-1, 2), distribution.dtype))) for r in rows)
    return total * (right - left) * (top - bottom) / cells**2


def draw(distribution, points, moon, seed=0):
    """Returns the picture, uint8 [H, W, 3]: x and f(x) above, f^-1(z) and z below; each row shows one grid of lines."""
    forward, inverse = distribution.bijector.forward, distribution.bijector.inverse
    latents = distribution.distribution.sample(len(points), seed=[seed, 3])
    quadrant = 2 * (latents.numpy()[:, 0] < 0) + (latents.numpy()[:, 1] < 0)
    data_grid, latent_grid = _grid(_DATA_VIEW), _grid(_LATENT_VIEW)
    panels = [
        ("data x", points, moon, data_grid, _DATA_VIEW),
        ("latents f(x)", inverse(points), moon, inverse(data_grid), _LATENT_VIEW),
        ("samples f^-1(z)", forward(latents), quadrant, forward(latent_grid), _DATA_VIEW),
        ("prior z", latents, quadrant, latent_grid, _LATENT_VIEW),
    ]
    drawn = [_panel(*panel) for panel in panels]
    return np.concatenate([np.concatenate(drawn[:2], 1), np.concatenate(drawn[2:], 1)])


def _grid(view, lines=21, points=3000):
    """Returns the lines of a grid over the view, float32 [2 * lines, points, 2], fine enough for a flow to stretch."""
    low, high = np.array(view, np.float32)
    across, along = np.linspace(0, 1, lines)[:, None], np.linspace(0, 1, points)
    upright = np.stack(np.broadcast_arrays(across, along), -1)
    return np.float32(low + (high - low) * np.concatenate([upright, upright[..., ::-1]]))


def _panel(title, points, groups, grid, view):
    """Draws a panel: a dot for each point, coloured by its group, the grid's lines, and the corners' coordinates."""
    names = ("Image", "ImageDraw", "ImageFilter", "ImageFont")
    pillow, drawing, filters, fonts = (import_extra(f"PIL.{name}") for name in names)
    low, high = np.array(view, np.float32)

    def pixels(x):
        position = (np.asarray(x) - low) / (high - low) * [1, -1] + [0, 1]
        return np.clip(position * _PANEL * _OVERSAMPLING, -1e5, 1e5)  # Pillow can't draw very far outside.

    inner = pillow.new("RGB", [_PANEL * _OVERSAMPLING] * 2, "white")
    brush = drawing.Draw(inner, "RGBA")
    radius = 1.7 * _OVERSAMPLING
    for centre, group in zip(pixels(points), groups, strict=True):
        brush.ellipse([*(centre - radius), *(centre + radius)], fill=(*_COLOURS[group], 160))
    lines = pillow.new("L", inner.size)
    for line in pixels(grid):
        drawing.Draw(lines).line(line.ravel().tolist(), 120)
    # Pillow's own width of lines fails for short pieces.
    inner.paste("black", mask=lines.filter(filters.MaxFilter(_OVERSAMPLING)))
    panel = pillow.new("RGB", [_PANEL + 2 * _MARGIN, _PANEL + 2 * _MARGIN], "white")
    panel.paste(inner.resize([_PANEL, _PANEL], pillow.Resampling.BOX), [_MARGIN, _MARGIN])
    brush, end = drawing.Draw(panel), _MARGIN + _PANEL
    brush.rectangle([_MARGIN - 1, _MARGIN - 1, end, end], outline="black")
    brush.text([panel.width / 2, _MARGIN / 2], title, "black", fonts.load_default(size=24), anchor="mm")
    small_font = fonts.load_default(size=14)
    for (x, y), right, up in ((low, _MARGIN, end), (high, end, _MARGIN)):
        brush.text([right, end + 6], f"{x:g}", "black", small_font, anchor="ma")
        brush.text([_MARGIN - 6, up], f"{y:g}", "black", small_font, anchor="rm")
    return np.asarray(panel)


def make(directory, seed=0, steps=STEPS):
    """Trains, writes toy.png and toy.json into `directory`, prints the numbers, returns what toy.json holds.

    Args:
      directory: str or path; it is created if need be.
      seed: int of at least 0, the seed of data, weights, batches and latents.
      steps: int of at least 1, training steps.

    Raises:
      ValueError: if `seed` or `steps` breaks its rule.
      FloatingPointError: if the log density is not finite.
    """
    check_int("seed", seed, 0)
    check_int("steps", steps, 1)
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    began = time.time()
    distribution = toy_flow(seed=seed)
    train(distribution, two_moons(_TRAIN, [seed, 0])[0], steps, seed)
    seconds = time.time() - began
    points, moon = two_moons(_HELD_OUT, [seed, 1])
    nats = distribution.log_prob(points).numpy().astype(np.float64)
    picture = draw(distribution, points[:2500], moon[:2500], seed)
    record = {
        "figure": "toy",
        "pictures": [{"file": "toy.png", "alt": _ALT, "size": [picture.shape[1], picture.shape[0]]}],
        "data": f"make_moons of scikit-learn, noise {NOISE}; {_TRAIN} points for training, {_HELD_OUT} held out",
        "unit": "mean log density of a point in nats, higher is better; density_integral has no unit",
        "held_out_nats": float(nats.mean()),
        "standard_error": float(nats.std() / math.sqrt(len(nats))),
        "true_nats": float(moons_log_density(points).mean()),
        "density_integral": density_integral(distribution),
        "steps": steps,
        "seconds": round(seconds, 1),
        "seed": seed,
        "command": f"python -m examples.figures {shlex.join(sys.argv[1:])}",
    }
    plots.write_png(directory / "toy.png", picture)
    run_lib.write(directory / "toy.json", json.dumps(record, indent=1) + "\n")
    print(
        f"toy: held-out log density {record['held_out_nats']:.3f} +- {record['standard_error']:.3f} nats (at best "
        f"{record['true_nats']:.3f}), density integrates to {record['density_integral']:.4f}; "
        f"{steps} steps in {seconds:.0f} s"
    )
    return record
