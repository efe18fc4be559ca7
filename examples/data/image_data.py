"""What every loader returns, and the checks that loaders share."""

from __future__ import annotations

import dataclasses
import importlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from examples.data.images import Images

_SPLITS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True, eq=False)
class ImageData:
    """Images in three splits.

    Attributes:
      key: str, short name of the data set; for data of TFDS, the name that it has there, e.g. "lsun/bedroom".
      name: str, data set and version, e.g. "cifar10 3.0.2 (TFDS)"; it says so if the data are a part or a stand-in.
      train, validation, test: `Images`, all of one shape and with conditioning of one length.
      levels: int in [2, 256], how many values a pixel can have.
      splits: dict from each of the three names to words that say which images it holds, e.g. "train[:48000]".
      preprocessing: str, what was done to the pictures.
      genuine: bool; these are all images of the data set that `key` names.
      whole: bool; pixels are whole numbers in [0, levels). Otherwise they are float32, and noise is already added.
      conditioning_names: tuple of str, the meaning of each entry of a conditioning vector, e.g. class names; empty if
        there is no conditioning.
      notes: str, what whoever trains should see first, e.g. how many files were skipped; empty if there is nothing. It
        is no part of a run's identity, so that a file which is no picture stops no run.

    Raises:
      ValueError: if one of these rules is broken.
    """

    key: str
    name: str
    train: Images
    validation: Images
    test: Images
    levels: int
    splits: dict
    preprocessing: str = "none"
    genuine: bool = True
    whole: bool = True
    conditioning_names: tuple[str, ...] = ()
    notes: str = ""

    def __post_init__(self):
        if not isinstance(self.levels, int) or not 2 <= self.levels <= 256:
            raise ValueError(f"`levels`={self.levels!r}: must be an int in [2, 256], the number of values of a pixel.")
        if set(self.splits) != set(_SPLITS):
            raise ValueError(f"`splits`={self.splits!r}: must say in words what each of {_SPLITS} is, and no other.")
        for split in _SPLITS:
            images = getattr(self, split)
            if images.shape != self.train.shape:
                shapes = f"{images.shape}, `train` {self.train.shape}"
                raise ValueError(f"`{split}` holds images of shape {shapes}: resize or crop them to one shape.")
            if images.conditioning_size != len(self.conditioning_names):
                raise ValueError(
                    f"`{split}` comes with {images.conditioning_size} numbers an image: must be as many as "
                    f"`conditioning_names`, {len(self.conditioning_names)}."
                )
            pixels = getattr(images, "pixels", None)
            if pixels is not None and pixels.max() >= self.levels:
                raise ValueError(f"`{split}` holds {pixels.max()}: must be below `levels`={self.levels}; raise it.")

    @property
    def image_shape(self):
        """(H, W, C) of an image."""
        return self.train.shape

    def damage(self):
        """Returns a message that names the file that can't be read, for an error of TensorFlow that does not name it.

        It reads the files of all splits until one fails.
        """
        found = next(filter(None, (getattr(self, split).damage() for split in _SPLITS)), None)
        if found is None:
            return f"{self.name}: a file could not be read, but now all can; run again."
        return f"{found}; delete the folder of this file and run again to prepare the data anew."


def refuse_conditional(conditional, name):
    """Raises ValueError if `conditional`: these data have nothing to condition on."""
    if conditional:
        raise ValueError(f"`conditional`=True: {name} has neither classes nor attributes; leave it out.")


def import_extra(module):
    """Imports and returns a module of the `examples` extra; raises ImportError that says how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f'`{module}` is needed for these data: pip install "tfp_realnvp[examples]"') from error


def check_int(name, value, smallest, meaning=""):
    """Raises ValueError unless `value` is an int of at least `smallest`."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < smallest:
        raise ValueError(f"`{name}`={value!r}: must be an int of at least {smallest}{meaning and ', '}{meaning}.")


def check_images(name, images):
    """Raises ValueError unless `images` are uint8 [N, H, W, C]."""
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim != 4 or 0 in images.shape:
        found = f"{images.dtype} {images.shape}" if isinstance(images, np.ndarray) else type(images).__name__
        raise ValueError(f"`{name}` is {found}: must be a uint8 array [N, H, W, C] with no size 0.")
