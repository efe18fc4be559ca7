"""What all figures share: a trained model in both directions, and pictures with a record beside them."""

import dataclasses
import json
import math
import pathlib
import shlex
import sys

import numpy as np
import tensorflow as tf

from examples import plots
from examples import run as run_lib
from examples.data import eval_batches
from examples.data.image_data import import_extra
from examples.experiment import Experiment
from tfp_realnvp import dequantize, quantize

_POOL = 512  # A figure chooses among this many test images.


@dataclasses.dataclass
class Figure:
    """A figure that is being made.

    Attributes:
      name: name of the figure, with which the names of its files begin.
      opened: the `Experiment`; its model has the averaged weights in place, if it keeps any.
      directory: directory of the files.
      seed: seed of all noise and of the choice of images.
      temperature: standard deviation of the latents that are drawn.
      batch_statistics: whether the networks normalise by the statistics of the pictures that are decoded.
    """

    name: str
    opened: Experiment
    directory: pathlib.Path
    seed: int = 0
    temperature: float = 1.0
    batch_statistics: bool = False

    def __post_init__(self):
        self.pictures: list[dict] = []
        self._inverse = tf.function(self._bijector("inverse"), reduce_retracing=True)
        self._forward = tf.function(self._bijector("forward"), reduce_retracing=True)

    def _bijector(self, direction):
        method = getattr(self.opened.model.distribution.bijector, direction)

        def apply(x, conditioning):
            training = direction == "forward" and self.batch_statistics
            return method(x, training=training, conditioning=conditioning)

        return apply

    @property
    def data(self):
        """The short name of the data set, for captions."""
        return self.opened.images.key

    @property
    def levels(self):
        return self.opened.images.levels

    @property
    def num_scales(self):
        return self.opened.config.flow.num_scales

    def examples(self, count):
        """Returns test images that `seed` chooses, uint8 [count, H, W, C], and their conditioning [count, K] or None.

        Raises:
          ValueError: if there are fewer test images.
        """
        images = self.opened.images.test
        pool = min(max(_POOL, count), len(images))
        if count > pool:
            raise ValueError(f"figure {self.name!r} needs {count} test images: there are {pool}; add some.")
        batch = next(iter(eval_batches(images, pool, pool)))
        pixels, conditioning = batch if self.opened.conditional else (batch, None)
        if not self.opened.images.whole:
            pixels = quantize(pixels)
        chosen = np.random.RandomState(self.seed).permutation(pool)[:count]
        return pixels.numpy()[chosen], None if conditioning is None else conditioning.numpy()[chosen]

    def encode(self, pixels, conditioning=None):
        """Returns the latents, float32 [N, H, W, C], of whole-numbered images; `decode` gives the images back."""
        noisy = dequantize(pixels, self.levels, seed=(self.seed, 1))
        return self._in_batches(self._inverse, noisy.numpy(), conditioning, "encoding")

    def decode(self, latents, conditioning=None):
        """Returns the pictures of latents, uint8 [N, H, W, C]; H and W may have any size that can be squeezed."""
        return quantize(
            self._in_batches(self._forward, np.asarray(latents), conditioning, "decoding"), self.levels
        ).numpy()

    def latents(self, count, scale=1):
        """Returns latents drawn with `temperature`, float32 [count, scale * H, scale * W, C] for data of H and W."""
        height, width, channels = self.opened.images.image_shape
        shape = [count, scale * height, scale * width, channels]
        return self.temperature * tf.random.stateless_normal(shape, [self.seed, 2]).numpy()

    def conditioning(self, count):
        """Returns the conditioning [count, K] of test images, for samples to be drawn with, or None."""
        return self.examples(count)[1] if self.opened.conditional else None

    def write(self, suffix, sheet, alt, **facts):
        """Writes a picture, uint8 [H, W, 3], as PNG; the record gets its `alt` text and `facts`."""
        file = f"{self.name}{suffix and '_'}{suffix}.png"
        plots.write_png(self.directory / file, sheet)
        self.pictures.append({"file": file, "alt": alt, "size": [sheet.shape[1], sheet.shape[0]], **facts})

    def write_frames(self, frames, alt):
        """Writes frames, uint8 [H, W, 3], as an animation, and side by side for a page that shows any of them."""
        plots.write_animation(self.directory / f"{self.name}.webp", frames)
        columns = math.ceil(math.sqrt(len(frames)))
        strip = plots.image_sheet(np.stack(frames), columns, min_side=1)
        self.write("frames", strip, f"{alt}, frame by frame", frames=len(frames), columns=columns)
        self.pictures.append({"file": f"{self.name}.webp", "alt": f"{alt}, animated"})

    def record(self):
        """Writes the record of the figure beside its pictures; returns it."""
        opened = self.opened
        record = {
            "figure": self.name,
            "pictures": self.pictures,
            "run": str(opened.run.directory),
            "config": opened.settings.name,
            "data": opened.images.name,
            "step": opened.step,
            "seed": self.seed,
            "temperature": self.temperature,
            "batch_statistics": self.batch_statistics,
            "training_command": opened.settings.command,
            "command": f"python -m examples.figures {shlex.join(sys.argv[1:])}",
        }
        run_lib.write(self.directory / f"{self.name}.json", json.dumps(record, indent=1) + "\n")
        return record

    def sheet(self, images, columns=None, min_side=64):
        """Returns a sheet of uint8 images; see `plots.image_sheet`."""
        return plots.image_sheet(images, columns, min_side=min_side, levels=self.levels)

    def _in_batches(self, function, x, conditioning, what):
        # A batch has as many pixels as in training, so that larger pictures take no more memory.
        pixels = math.prod(self.opened.images.image_shape) * self.opened.config.batch_size
        size = max(1, pixels // math.prod(x.shape[1:]))
        if self.batch_statistics:
            size = len(x)  # The statistics are those of all pictures together.
        starts = import_extra("tqdm").trange(0, len(x), size, desc=what, leave=False, disable=None)
        parts = []
        for i in starts:
            rows = None if conditioning is None else tf.constant(conditioning[i : i + size])
            parts.append(function(tf.constant(x[i : i + size]), rows).numpy())
        return np.concatenate(parts)
