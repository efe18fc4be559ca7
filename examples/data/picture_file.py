"""One picture of a file, decoded on any of several threads, which together take a bounded amount of memory."""

import contextlib
import math
import threading

import numpy as np

from examples.data.image_data import import_extra

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP")  # Pillow's names. A JPEG of several pictures (MPO) counts as JPEG.
# Decoding takes 8 to 12 bytes a pixel (the picture, its turned or converted copy, or what a progressive JPEG collects),
# which is 0.8 GiB for a picture of this size. Photographs of cameras with 61 million pixels are smaller.
MAX_PIXELS = 2**26
# A file of this size holds the largest picture uncompressed. Decoders read parts of a file, or all of it, at once.
MAX_BYTES = 3 * MAX_PIXELS
_BLOCK_BYTES = 2**26  # From 32 MiB, malloc always returns memory to the system.
_COPIES = {"WEBP": 2}  # Its decoder holds two pictures more than others do, 16 bytes a pixel together.


class Reader:
    """Reads pictures on several threads at once as long as all that they decode is no more than the largest picture."""

    def __init__(self, size):
        """`size` is the side of the square that each picture is resized to; raises ValueError if it is too large."""
        if size**2 > MAX_PIXELS:
            raise ValueError(
                f"`size`={size}: must be at most {math.isqrt(MAX_PIXELS)}, the side of a square of as many pixels as a "
                "picture may have; lower it."
            )
        self._size = size
        self._pillow, self._orient = import_extra("PIL.Image"), import_extra("PIL.ImageOps").exif_transpose
        # malloc would keep Pillow's blocks of 16 MiB for the thread that frees them, not for the next large picture.
        self._pillow.core.set_block_size(_BLOCK_BYTES)
        # A thread takes of the first before it takes of the second, so threads never wait for each other in a circle.
        self._bytes, self._pixels = _Budget(MAX_BYTES), _Budget(MAX_PIXELS)

    def read(self, file):
        """Returns uint8 [size, size, 3], the upright picture's central square, resized; and that picture's (W, H).

        Raises:
          ValueError: if the picture, which the message names, is damaged, too large or has more than 8 bits per
            channel. What is too large is refused by its header.
        """
        try:
            with self._bytes.taken(self._checked_bytes(file)), self._pixels.taken(self._checked_pixels(file)):
                return self._resized(file)
        except _PictureError as error:
            raise ValueError(f"picture {str(file)!r}: {error}.") from error.__cause__

    def _checked_bytes(self, file):
        with _errors_of(self._pillow):
            num_bytes = file.stat().st_size
        if num_bytes > MAX_BYTES:
            raise _too_large(f"{num_bytes:,} bytes")
        return num_bytes

    def _checked_pixels(self, file):
        with _errors_of(self._pillow), self._pillow.open(file, formats=FORMATS) as picture:
            size, num_copies = picture.size, _COPIES.get(picture.format, 1)
        num_pixels = size[0] * size[1] * num_copies
        if num_pixels > MAX_PIXELS:
            raise _too_large("{}x{}".format(*size))
        return max(num_pixels, self._size**2)  # Enlarged, a small picture takes as much as a large one.

    def _resized(self, file):
        # What is decoded is freed at the end of this method, before other threads are given its share.
        with _errors_of(self._pillow), self._pillow.open(file, formats=FORMATS) as picture:
            # Pillow would clip the values of these modes to 255 instead of rescaling them.
            has_more_bits = picture.mode[0] in "IF"
            self._orient(picture, in_place=True)  # Otherwise, and by `convert` to the same mode, it would be copied.
            upright = picture if picture.mode == "RGB" else picture.convert("RGB")
        width, height = upright.size
        side = min(width, height)
        if has_more_bits:
            raise _PictureError("has more than 8 bits a channel; convert it to 8 bits")
        # One call resizes and crops; the crop may begin at half a pixel.
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
        resized = upright.resize((self._size, self._size), self._pillow.Resampling.BICUBIC, box=box)
        return np.asarray(resized), (width, height)


class _PictureError(Exception):
    """What is wrong with a picture, in words that follow its name."""


def _too_large(found):
    return _PictureError(
        f"is too large ({found}): must have at most {MAX_PIXELS:,} pixels, as a WebP half of them, and {MAX_BYTES:,} "
        "bytes; reduce or remove it"
    )


@contextlib.contextmanager
def _errors_of(pillow):
    """Turns Pillow's errors into a `_PictureError`."""
    try:
        yield
    except (pillow.DecompressionBombError, pillow.DecompressionBombWarning) as error:
        raise _too_large(error) from error  # Pillow counts pixels too, and has limits of its own.
    except Exception as error:  # Decoders raise nearly anything.
        raise _PictureError(f"can't be read ({error}); repair or remove it") from error


class _Budget:
    """An amount of which threads take shares, and wait until enough is left."""

    def __init__(self, amount):
        self._left, self._changed = amount, threading.Condition()

    @contextlib.contextmanager
    def taken(self, share):
        """Takes a share, which is at most the whole amount, while the block runs."""
        with self._changed:
            self._changed.wait_for(lambda: self._left >= share)
            self._left -= share
        try:
            yield
        finally:
            with self._changed:
                self._left += share
                self._changed.notify_all()
