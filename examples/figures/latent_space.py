"""What the latents of images are good for: compression, manifolds, attributes (figures 6, 12 to 16, 22 to 28)."""

import math

import numpy as np

from examples import plots
from examples.data.image_data import import_extra
from tfp_realnvp import manifold, resample_latents

_ANGLES = np.arange(8) * math.pi / 4
_DOME_FRAMES = 40
_CHANGES = ("Smiling", "Male", "Eyeglasses", "Blond_Hair", "Black_Hair", "Young", "Mustache", "Wearing_Hat")


def compress(figure):
    """Writes images decoded from all latents, half, a quarter, ...; the rest is drawn, or zero (figures 22 to 26)."""
    pixels, conditioning = figure.examples(min(10, len(figure.opened.images.test)))
    latents = figure.encode(pixels, conditioning)
    kept = [0.5**i for i in range(figure.num_scales)]
    titles = [f"{100 * fraction:g} %" for fraction in kept]
    for suffix, temperature, rest in (("noise", figure.temperature, "drawn anew"), ("zeros", 0.0, "zero")):
        columns = []
        for fraction in kept:
            resampled = resample_latents(
                latents, figure.num_scales, fraction, seed=(figure.seed, 3), temperature=temperature
            )
            columns.append(figure.decode(resampled.numpy(), conditioning))
        sheet = figure.sheet(_by_row(columns), len(kept))
        alt = f"test images of {figure.data} from {', '.join(titles)} of their latents, left to right; the rest {rest}"
        figure.write(suffix, plots.with_titles(sheet, titles), alt, kept=kept)


def manifold_grid(figure):
    """Writes the manifold through four test images over two angles; these have red borders (figures 6, 12 to 16)."""
    pixels, conditioning = figure.examples(4)
    grid = np.stack(np.meshgrid(_ANGLES, _ANGLES, indexing="ij"), -1)  # [8, 8, 2]
    tiles = _tiles(figure, figure.encode(pixels, conditioning), conditioning, grid)
    sheet = plots.framed(figure.sheet(tiles, 8), figure.sheet(tiles[:1]).shape[:2], _originals(grid))
    figure.write("", sheet, f"manifold through four test images of {figure.data}, which have red borders")


def dome(figure):
    """Writes the manifold through eight test images over three angles, the third over 40 frames (web page)."""
    pixels, conditioning = figure.examples(8)
    latents = figure.encode(pixels, conditioning)
    turns = np.arange(_DOME_FRAMES) * 2 * math.pi / _DOME_FRAMES
    frames = []
    for turn in import_extra("tqdm").tqdm(turns, "frames", leave=False, disable=None):
        grid = np.stack(np.meshgrid([turn], _ANGLES, _ANGLES, indexing="ij"), -1)[0]  # [8, 8, 3]
        frames.append(figure.sheet(_tiles(figure, latents, conditioning, grid), 8, min_side=32))
    alt = f"manifold through eight test images of {figure.data}"
    figure.write("", frames[0], f"{alt}, first of {_DOME_FRAMES} frames")
    figure.write_frames(frames, alt)


def attributes(figure):
    """Writes test images, encoded with their attributes or class and decoded with others (figures 27, 28).

    Raises:
      ValueError: if the run was trained without either.
    """
    names = figure.opened.images.conditioning_names
    if not names:
        raise ValueError(
            f"figure 'attributes': {figure.opened.settings.name} was trained without attributes or classes; name a "
            "run that was trained with --conditional."
        )
    pixels, conditioning = figure.examples(8)
    latents = figure.encode(pixels, conditioning)
    columns, titles = [pixels, figure.decode(latents, conditioning)], ["original", "decoded"]
    is_class = bool((conditioning.sum(1) == 1).all())
    for name in names[:10] if is_class else [n for n in _CHANGES if n in names]:
        changed = np.zeros_like(conditioning) if is_class else conditioning.copy()
        entry = names.index(name)
        changed[:, entry] = 1 if is_class else 1 - conditioning[:, entry]
        columns.append(figure.decode(latents, changed))
        titles.append(name if is_class else f"± {name}")
    sheet = plots.with_titles(figure.sheet(_by_row(columns), len(columns)), titles)
    changes = ", ".join(titles[2:])
    alt = f"test images of {figure.data}, decoded from their latents with other attributes: {changes}"
    figure.write("", sheet, alt, columns=titles)


def _by_row(columns):
    return np.stack(columns, 1).reshape(-1, *columns[0].shape[1:])


def _tiles(figure, latents, conditioning, grid):
    """Returns the pictures of a manifold's points, row by row.

    A point's conditioning is the sum of the originals' conditioning, weighted by the squares of their shares in it.
    """
    mapped = manifold(latents, grid.astype(np.float32)).numpy()
    if conditioning is not None:
        conditioning = (_shares(grid).reshape(-1, len(latents)) ** 2 @ conditioning).astype(np.float32)
    return figure.decode(mapped.reshape(-1, *latents.shape[1:]), conditioning)


def _originals(grid):
    """Returns the rows and columns of the grid, int [K, 2], where the manifold passes through an original."""
    return np.argwhere(_shares(grid).max(-1) > 1 - 1e-5)


def _shares(grid):
    """Returns the share of each original in each point of a grid [8, 8, k], float32 [8, 8, 2^k]."""
    unit = np.eye(2 ** grid.shape[-1], dtype=np.float32)[:, :, np.newaxis, np.newaxis]
    return manifold(unit, grid.astype(np.float32)).numpy()[..., 0, 0]
