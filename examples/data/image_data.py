"""What every loader returns, and the checks that loaders share."""

import dataclasses
import importlib

import numpy as np

_SPLITS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True, eq=False)
class ImageData:
    """Images in three splits.

    Attributes:
      name: str, which data, with the version, e.g. "cifar10 3.0.2 (TFDS)".
      train, validation, test: uint8 arrays [N, H, W, C] of values in [0, levels); H, W and C are the same in all.
      levels: int in [2, 256], how many values a pixel can have.
      splits: dict, says of each of the three which images it is, e.g. {"train": "train[:48000]", ...}.

    Raises:
      ValueError: if one of these rules is broken.
    """

    name: str
    train: np.ndarray = dataclasses.field(repr=False)
    validation: np.ndarray = dataclasses.field(repr=False)
    test: np.ndarray = dataclasses.field(repr=False)
    levels: int
    splits: dict

    def __post_init__(self):
        if not isinstance(self.levels, int) or not 2 <= self.levels <= 256:
            raise ValueError(f"`levels`={self.levels!r}: must be an int in [2, 256], the number of values of a pixel.")
        if set(self.splits) != set(_SPLITS):
            raise ValueError(f"`splits`={self.splits!r}: must say in words what each of {_SPLITS} is, and no other.")
        for split in _SPLITS:
            images = getattr(self, split)
            check_images(split, images)
            if images.shape[1:] != self.train.shape[1:]:
                shapes = f"{images.shape[1:]}, `train` {self.train.shape[1:]}"
                raise ValueError(f"`{split}` holds images of shape {shapes}: resize or crop them to one shape.")
            if images.max() >= self.levels:
                raise ValueError(f"`{split}` holds {images.max()}: must be below `levels`={self.levels}; raise it.")

    @property
    def image_shape(self):
        """(H, W, C)."""
        return self.train.shape[1:]


def import_extra(module):
    """Returns a module that only some data need; without it, says how to install it."""
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
        raise ValueError(f"`{name}` is {found}: must be a uint8 array [N, H, W, C], none of its sizes 0.")
