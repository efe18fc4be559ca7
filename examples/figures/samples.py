"""Sheets of examples and of samples, at the training size and larger (figures 5, 7 to 11, 17 to 21)."""

from examples import plots

_SHEET = 64


def examples(figure):
    """Writes a sheet of test images (figure 5, left)."""
    pixels, _ = figure.examples(min(_SHEET, len(figure.opened.images.test)))
    figure.write("", figure.sheet(pixels), f"{len(pixels)} test images of {figure.data}")


def samples(figure):
    """Writes samples, alone and beside test images (figures 5, 7 to 11)."""
    pixels, _ = figure.examples(min(_SHEET, len(figure.opened.images.test)))
    drawn = figure.decode(figure.latents(len(pixels)), figure.conditioning(len(pixels)))
    sheet = figure.sheet(drawn)
    figure.write("", sheet, f"{len(drawn)} samples of a {figure.opened.config.flow.title} trained on {figure.data}")
    both = plots.side_by_side(figure.sheet(pixels), sheet)
    figure.write("beside_examples", both, f"test images of {figure.data}, left, and samples, right")


def extrapolate(figure):
    """Writes samples of twice and ten times the training size, from the same weights (figures 17 to 21)."""
    for scale, count in ((2, 16), (10, 1)):
        drawn = figure.decode(figure.latents(count, scale), figure.conditioning(count))
        times = {2: "twice", 10: "ten times"}[scale]
        alt = f"{count} sample{'s' * (count > 1)}, {times} as large as the images of {figure.data} trained on"
        figure.write(f"{scale}x", figure.sheet(drawn, min_side=64 * scale), alt, scale=scale)
