"""Sheets of images as arrays, and how they are written as PNG and WebP."""

import math
import os
import pathlib

import numpy as np
import tensorflow as tf

from examples.data.image_data import check_int, import_extra

_GREY = 128  # The gaps are mid-grey, which stands out from both dark and light images.


def image_sheet(images, columns=None, *, min_side=64, levels=256):
    """Returns a uint8 array [height, width, 3]: the images side by side, row by row, with grey gaps of 2 pixels.

    Args:
      images: integer array [N, H, W, C] of values in [0, levels), C 1 (grey) or 3 (red, green, blue), N at least 1.
      columns: int, images in a row; None for as many as make the grid nearly square.
      min_side: int, pixels. Images whose shorter side has fewer are enlarged by the smallest whole factor that reaches
        it. Pixels are repeated, so that the sheet shows what the model made. 1 enlarges nothing.
      levels: int, at least 2; level `levels - 1` is shown as 255.

    Raises:
      ValueError: if an argument breaks its rule.
    """
    images = np.asarray(images)
    if images.ndim != 4 or 0 in images.shape or images.shape[-1] not in (1, 3):
        raise ValueError(f"`images` has shape {images.shape}: must be [N, H, W, C] with N at least 1 and C 1 or 3.")
    if not np.issubdtype(images.dtype, np.integer):
        raise ValueError(f"`images` is {images.dtype}: must be whole numbers; use `tfp_realnvp.quantize` on real ones.")
    check_int("min_side", min_side, 1)
    check_int("levels", levels, 2)
    if columns is not None:
        check_int("columns", columns, 1)
    if images.min() < 0 or images.max() >= levels:
        raise ValueError(
            f"`images` holds {images.min()} to {images.max()}: must lie in [0, `levels`={levels}); raise `levels`."
        )

    count, height, width, _ = images.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    factor = math.ceil(min_side / min(height, width))
    # This rounds exactly, in integers that are wide enough for 255 * 255.
    tiles = ((images.astype(np.int64) * 255 * 2 + levels - 1) // (2 * (levels - 1))).astype(np.uint8)
    tiles = tiles.repeat(factor, axis=1).repeat(factor, axis=2)
    height, width = height * factor + 2, width * factor + 2
    grid = np.full((rows * columns, height, width, 3), _GREY, np.uint8)
    grid[:count, :-2, :-2] = tiles
    sheet = grid.reshape(rows, columns, height, width, 3).swapaxes(1, 2).reshape(rows * height, columns * width, 3)
    return sheet[:-2, :-2]


def side_by_side(left, right, *, gap=16):
    """Returns a uint8 array [height, width, 3]: two sheets, tops aligned, with `gap` pixels of grey between them."""
    for name, sheet in (("left", left), ("right", right)):
        _check_sheet(name, sheet)
    height, middle = max(left.shape[0], right.shape[0]), left.shape[1] + gap
    both = np.full((height, middle + right.shape[1], 3), _GREY, np.uint8)
    both[: left.shape[0], : left.shape[1]] = left
    both[: right.shape[0], middle:] = right
    return both


def framed(sheet, tile, places, *, gap=2, width=3):
    """Returns a copy of a sheet with red borders inside some of its tiles.

    Args:
      sheet: uint8 array [height, width, 3], as `image_sheet` returns it.
      tile: (height, width) of one tile, pixels.
      places: [K, 2] ints, row and column of each.
      gap: int, pixels between tiles.
      width: int, pixels of the border.
    """
    _check_sheet("sheet", sheet)
    sheet = sheet.copy()
    for row, column in places:
        top, left = row * (tile[0] + gap), column * (tile[1] + gap)
        inside = sheet[top : top + tile[0], left : left + tile[1]]
        if inside.shape[:2] != tuple(tile):
            raise ValueError(f"`places` holds {(int(row), int(column))}: must be row and column of a tile.")
        for edge in (inside[:width], inside[-width:], inside[:, :width], inside[:, -width:]):
            edge[:] = (255, 0, 0)
    return sheet


def with_titles(sheet, titles):
    """Returns a sheet, uint8 [height, width, 3], with a title above each of its columns, which have equal width."""
    _check_sheet("sheet", sheet)
    draw, font = import_extra("PIL.ImageDraw"), import_extra("PIL.ImageFont")
    width = (sheet.shape[1] + 2) / len(titles)  # The last column lacks its gap.
    # The font is as large as the longest title allows.
    sizes = (font.load_default(size) for size in range(18, 6, -1))
    largest = next((f for f in sizes if max(map(f.getlength, titles)) < width - 2), font.load_default(7))
    band = import_extra("PIL.Image").new("RGB", (sheet.shape[1], 26), (255, 255, 255))
    for i, title in enumerate(titles):
        draw.Draw(band).text(((i + 0.5) * width, 13), title, fill=(0, 0, 0), font=largest, anchor="mm")
    return np.concatenate([np.asarray(band), sheet])


def write_animation(path, frames, milliseconds=100):
    """Writes uint8 arrays [H, W, 3] of one size as an endless animated WebP, whole or not at all."""
    path = pathlib.Path(path)
    for frame in frames:
        _check_sheet("frames", frame)
    first, *rest = map(import_extra("PIL.Image").fromarray, frames)
    options = {"save_all": True, "append_images": rest, "duration": milliseconds, "loop": 0, "quality": 90}
    _write_whole(path, lambda file: first.save(file, "WEBP", **options))


def write_png(path, array):
    """Writes a uint8 array [H, W, 3] as a PNG file; its directory is created if need be.

    The file appears whole or not at all, so that nobody sees half a picture during training.

    Args:
      path: str or path that ends in .png; a file there is replaced.
      array: uint8 array [H, W, 3], with no size 0.

    Raises:
      ValueError: if an argument breaks its rule.
    """
    path = pathlib.Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"`path`={str(path)!r}: must end in .png, the format that is written.")
    _check_sheet("array", array)
    _write_whole(path, lambda file: file.write(tf.io.encode_png(array).numpy()))


def _write_whole(path, write):
    path.parent.mkdir(parents=True, exist_ok=True)
    # It lies beside its destination, because os.replace is atomic only within a file system.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            write(file)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _check_sheet(name, array):
    valid = isinstance(array, np.ndarray) and array.dtype == np.uint8 and array.ndim == 3
    if not valid or array.shape[-1] != 3 or 0 in array.shape:
        found = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise ValueError(f"`{name}` is {found}: must be a uint8 array [H, W, 3], no size 0; see `image_sheet`.")
