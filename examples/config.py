"""What a training run is: its data, its flow, how long and how fast it learns."""

import dataclasses
import importlib
import os
import pkgutil
from collections.abc import Callable, Mapping
from typing import Any

from examples import configs
from examples.data import ImageData
from examples.data.image_data import check_int

# The paper's flow for images of 64x64: about 96 million parameters.
PAPER_64 = {"num_scales": 5, "width": 32, "residual_blocks": 2}
# A flow for small colour images on two CPU cores.
SMALL_FLOW = {"num_scales": 3, "width": 32, "residual_blocks": 2, "compute_dtype": "bfloat16"}


@dataclasses.dataclass(frozen=True)
class Sources:
    """What the flags say about the data; paths become absolute, so that commands find them from other directories."""

    data_dir: str | None = None
    folder: str | None = None
    image_size: int = 32
    conditional: bool = False

    def __post_init__(self):
        for name in ("data_dir", "folder"):
            path = getattr(self, name)
            if path is not None and "://" not in path:  # TFDS reads gs:// too.
                object.__setattr__(self, name, os.path.abspath(path))


@dataclasses.dataclass(frozen=True)
class Config:
    """One experiment.

    Attributes:
      load: function from `Sources` to `ImageData`, which has conditioning if the sources ask for it.
      flow: arguments of `RealNVPImage`; channels and levels come from the data.
      steps: training steps.
      evaluations: how often in training held-out bits/dim, a sheet of samples and a checkpoint are made.
      batch_size: images per step, over all replicas.
      learning_rate: that of Adam (b1 0.9, b2 0.999, eps 1e-8), with the gradients' global norm clipped to 100.
      cosine_decay: the learning rate falls to 0 over the steps, on a half cosine.
      averaging: decay of the averaged weights that are evaluated; None for no averages.
      l2: penalty on weight-norm gains, see `FlowModel`.
      flip: whether to train on horizontal mirror images too.
      validation_images: how many of the first validation images are used in training; None for all.
      test_images: how many of the first test images give the final result; None for all.
      steps_per_execution: as in Keras' `compile`.
      image_shape: (H, W, C) of the images, for programs that don't load them; None if the data may have any shape.
      levels: how many values a pixel has, for the same programs.
    """

    load: Callable[[Sources], ImageData]
    flow: Mapping[str, Any]
    steps: int
    evaluations: int
    batch_size: int = 64
    learning_rate: float = 1e-3
    cosine_decay: bool = False
    averaging: float | None = None
    l2: float = 5e-5
    flip: bool = False
    validation_images: int | None = None
    test_images: int | None = None
    steps_per_execution: int = 1
    image_shape: tuple[int, int, int] | None = None
    levels: int = 256

    def __post_init__(self):
        for name in ("steps", "evaluations", "batch_size", "steps_per_execution"):
            check_int(name, getattr(self, name), 1, "see `examples.config.Config`")

    def check_images(self, images):
        """Raises ValueError if an `ImageData` can't be trained on; this is called before a model is built."""
        height, width, channels = images.image_shape
        found = (height, width, channels), images.levels
        if self.image_shape is not None and (self.image_shape, self.levels) != found:
            raise ValueError(
                f"`image_shape`={self.image_shape} and `levels`={self.levels}: must be those of the images, {found[0]} "
                f"and {found[1]}; correct them in the config."
            )
        divisor = 2 ** (self.flow.get("num_scales", 1) - 1)
        if height % divisor or width % divisor:
            raise ValueError(
                f"the images are {height}x{width}: height and width must be divisible by 2 ** (num_scales - 1) = "
                f"{divisor}; for --config=folder choose another --image_size, e.g. "
                f"--image_size={max(1, min(height, width) // divisor) * divisor}, else lower `num_scales`."
            )
        if len(images.train) < self.batch_size:
            raise ValueError(
                f"`batch_size`={self.batch_size}: must be at most the number of training images, {len(images.train)}; "
                "add images, or lower it in the config."
            )

    @property
    def interval(self):
        """Steps between evaluations."""
        return max(1, self.steps // self.evaluations)


def names():
    """Returns the sorted names of all configs."""
    return sorted(module.name for module in pkgutil.iter_modules(configs.__path__))


def get(name):
    """Returns the config of examples/configs/NAME.py; raises ValueError for an unknown name."""
    if name not in names():
        raise ValueError(f"`config`={name!r}: must be one of {', '.join(names())}; each is a file in examples/configs.")
    return importlib.import_module(f"examples.configs.{name}").CONFIG
