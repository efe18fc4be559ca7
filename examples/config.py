"""What a training run is: its data, its flow, how long and how fast it learns."""

import dataclasses
import importlib
import importlib.util
import json
import os
import pathlib
import pkgutil
import sys
from collections.abc import Callable
from typing import Any

from examples import configs
from examples.data import ImageData
from examples.data.image_data import check_int

_FILE_ENDING = ".py"
OPTIMIZERS = ("adam", "muon")
_MOST_SCALES = 16


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


@dataclasses.dataclass
class Flow:
    """The arguments of `RealNVPImage`, which says what they mean; channels, levels and conditioning are the data's."""

    num_scales: int = 2
    width: int = 64
    residual_blocks: int = 8
    preset: str = "released"
    squash: str | None = None
    shift_first: bool | None = None
    running_average: bool | None = None
    additive: bool = False
    batch_norm: bool = True
    momentum: float = 0.9
    compute_dtype: str | None = None
    recompute_gradients: bool = False

    title = "Real NVP"
    reference = "Dinh, Sohl-Dickstein, Bengio 2017, arXiv:1605.08803"

    @property
    def size_divisor(self):
        """Height and width of images must be multiples of this."""
        return 2 ** (max(1, self.num_scales) - 1)  # The flow refuses less than 1.


@dataclasses.dataclass
class Glow:
    """The arguments of `GlowImage`, which says what they mean; channels, levels and conditioning are the data's."""

    num_scales: int = 3
    depth: int = 16
    width: int = 64
    residual_blocks: int = 1
    log_scale_bound: float = 1.0
    squash: str = "released"
    compute_dtype: str | None = None
    recompute_gradients: bool = False

    title = "Glow"
    reference = "Kingma, Dhariwal 2018, arXiv:1807.03039"

    @property
    def preset(self):
        """What stands in the place of a Real NVP's preset."""
        return "Glow"

    @property
    def size_divisor(self):
        """Height and width of images must be multiples of this."""
        return 2 ** max(1, self.num_scales)  # The flow refuses less than 1.


_FLOWS = (Flow, Glow)


def paper_64():
    """Returns the paper's flow for images of 64x64: about 96 million parameters."""
    return Flow(num_scales=5, width=32, residual_blocks=2)


def small_flow():
    """Returns a flow for small colour images on two CPU cores."""
    return Flow(num_scales=3, width=32, residual_blocks=2, compute_dtype="bfloat16")


@dataclasses.dataclass
class Config:
    """One experiment. Its fields can be set on the command line: --config.steps=100 --config.flow.width=64.

    Those are excepted that say what the data are: `load`, `image_shape` and `levels`.

    Attributes:
      load: function from `Sources` to `ImageData`, which has conditioning if the sources ask for it.
      flow: the flow.
      steps: training steps.
      evaluations: how often in training held-out bits/dim, a sheet of samples and a checkpoint are made.
      batch_size: images per step, over all replicas.
      optimizer: "adam" (b1 0.9, b2 0.999, eps 1e-8), or "muon", which is `Muon` with this Adam.
      learning_rate: that of the optimizer.
      clip_norm: what the gradients' global norm is clipped to, nats per image.
      warmup_steps: the learning rate rises from 0 over so many first steps; for configs with `cosine_decay`.
      cosine_decay: the learning rate falls to 0 over the steps after these, on a half cosine.
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
    flow: Flow | Glow
    steps: int
    evaluations: int
    batch_size: int = 64
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    clip_norm: float = 100.0
    warmup_steps: int = 0
    cosine_decay: bool = False
    averaging: float | None = None
    l2: float = 5e-5
    flip: bool = False
    validation_images: int | None = None
    test_images: int | None = None
    steps_per_execution: int = 1
    image_shape: tuple[int, int, int] | None = None
    levels: int = 256

    def check(self):
        """Raises ValueError for a value that is out of range, or none where there must be one; see also `FlowModel`."""
        for name in ("steps", "evaluations", "batch_size", "steps_per_execution"):
            check_int(name, getattr(self, name), 1, "see `examples.config.Config`")
        for name in ("validation_images", "test_images"):
            if getattr(self, name) is not None:
                check_int(name, getattr(self, name), 1, "or None for all")
        for name, example in (("learning_rate", 1e-3), ("clip_norm", 100.0)):
            value = getattr(self, name)
            if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < float("inf"):
                raise ValueError(f"`{name}`={value!r}: must be a finite number above 0, e.g. {example}.")
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"`optimizer`={self.optimizer!r}: must be one of {', '.join(OPTIMIZERS)}.")
        if isinstance(self.flow.num_scales, int) and self.flow.num_scales > _MOST_SCALES:
            raise ValueError(
                f"`num_scales`={self.flow.num_scales}: must be at most {_MOST_SCALES}; each scale halves the images."
            )
        check_int("warmup_steps", self.warmup_steps, 0, meaning="see `examples.config.Config`")
        if self.warmup_steps and (self.warmup_steps >= self.steps or not self.cosine_decay):
            raise ValueError(
                f"`warmup_steps`={self.warmup_steps}: must be below `steps`={self.steps}, and with `cosine_decay`; "
                "lower it, or leave it out."
            )

    def check_images(self, images):
        """Raises ValueError if an `ImageData` can't be trained on; this is called before a model is built."""
        height, width, channels = images.image_shape
        found = (height, width, channels), images.levels
        if self.image_shape is not None and (self.image_shape, self.levels) != found:
            raise ValueError(
                f"`image_shape`={self.image_shape} and `levels`={self.levels}: must be those of the images, {found[0]} "
                f"and {found[1]}; correct them in the config."
            )
        divisor = self.flow.size_divisor
        if height % divisor or width % divisor:
            raise ValueError(
                f"the images are {height}x{width}: height and width must be divisible by {divisor} for num_scales="
                f"{self.flow.num_scales}; for --config=folder choose another --image_size, e.g. --image_size="
                f"{max(1, min(height, width) // divisor) * divisor}, else lower --config.flow.num_scales."
            )
        if len(images.train) < self.batch_size:
            raise ValueError(
                f"`batch_size`={self.batch_size}: must be at most the number of training images, {len(images.train)}; "
                "add images, or lower it: --config.batch_size=N."
            )

    @property
    def interval(self):
        """Steps between evaluations."""
        return max(1, self.steps // self.evaluations)

    @property
    def values(self):
        """A dict for JSON of all fields but `load`; that of `flow` holds those of the flow."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "load"}
        return {**fields, "flow": dataclasses.asdict(self.flow)}


def from_values(values, load=None):
    """Returns the `Config` of these `Config.values`, which may come from a file.

    Args:
      values: dict.
      load: that of the config; None if nothing is to be loaded by it.

    Raises:
      ValueError: unless the values are of exactly the fields of a config, or one is out of range.
    """
    if not isinstance(values, dict) or not isinstance(values.get("flow"), dict):
        raise ValueError(f"`values`={values!r}: must be those of a config, with those of its flow in `flow`")
    # The fields of a flow say which one it is; messages are about the one whose fields are the nearest.
    cls = max(_FLOWS, key=lambda c: len(values["flow"].keys() & {f.name for f in dataclasses.fields(c)}))
    fields = {**values, "flow": cls(**_only(cls, values["flow"]))}
    if isinstance(fields["image_shape"], list):  # JSON knows no tuples.
        fields["image_shape"] = tuple(fields["image_shape"])
    config = Config(load=load, **_only(Config, fields, without="load"))
    config.check()
    return config


def _only(cls, values, without=None):
    """Returns `values`; raises ValueError unless their names are those of the fields of a dataclass."""
    names = {field.name for field in dataclasses.fields(cls)} - {without}
    if set(values) != names:
        differing = ", ".join(sorted(set(values) ^ names))
        raise ValueError(f"its values of a {cls.__name__} lack these, or have them too many: {differing}")
    return values


def names():
    """Returns the sorted names of all configs of this project."""
    return sorted(module.name for module in pkgutil.iter_modules(configs.__path__))


def is_file(name):
    """Whether this is the path of a config of the user's own, and no name of a config of this project."""
    return name.endswith(_FILE_ENDING)


def get(name):
    """Returns what `get_config` of examples/configs/NAME.py returns, or of a file of the user's own, which is run.

    Args:
      name: str, one of `names()`, or a path that ends in .py.

    Raises:
      ValueError: for an unknown name, or a file that makes no `Config`.
    """
    if is_file(name):
        return _from_file(pathlib.Path(name).expanduser())
    if name not in names():
        raise ValueError(
            f"`config`={name!r}: must be one of {', '.join(names())}, each a file in examples/configs, or the path of "
            "a file of your own, which ends in .py."
        )
    return importlib.import_module(f"examples.configs.{name}").get_config()


def _from_file(path):
    what = f"`config`={str(path)!r}"
    if not path.is_file():
        raise ValueError(f"{what}: there is no such file; name one that defines `get_config()`.")
    spec: Any = importlib.util.spec_from_file_location("own_config", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # Dataclasses in it look for it there.
    try:
        spec.loader.exec_module(module)
        config = module.get_config()
    except Exception as error:  # The user's own program may raise anything.
        raise ValueError(f"{what}: its `get_config()` fails: {type(error).__name__}: {error}.") from error
    if not isinstance(config, Config) or not isinstance(config.flow, _FLOWS):
        raise ValueError(
            f"{what}: its `get_config()` returned {config!r}: must be an `examples.config.Config` whose `flow` is an "
            "`examples.config.Flow` or a `Glow`; begin with that of one of examples/configs."
        )
    values = config.values
    for name, value in [*values["flow"].items(), *((k, v) for k, v in values.items() if k != "flow")]:
        try:
            json.dumps(value)
        except TypeError as error:
            raise ValueError(
                f"{what}: `{name}`={value!r}: must be a plain number, truth value, text or None, e.g. 'bfloat16' for a "
                "type."
            ) from error
    return from_values(values, config.load)
