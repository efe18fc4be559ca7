"""The rows of BUILD.md's table: a config with something more, something less, or something else."""

import dataclasses
from typing import Any

import tensorflow as tf
import tf_keras

from examples import config as config_lib
from examples.ablations import noise, variants
from examples.models import build_distribution, build_model_of


@dataclasses.dataclass(frozen=True)
class Row:
    """What differs from the config.

    Attributes:
      what: str, for the table.
      base: str, name of the config in the place of the command's, or None.
      fields: dict of fields of the `Config`.
      flow: dict of fields of its flow.
      flow_class: class in the place of `GlowImage`, or None.
      optimizer: class in the place of the config's, or None.
      learned_noise: bool, variational instead of uniform dequantisation.
      seed: int, that the command's is increased by.
    """

    what: str
    base: str | None = None
    fields: dict[str, Any] = dataclasses.field(default_factory=dict)
    flow: dict[str, Any] = dataclasses.field(default_factory=dict)
    flow_class: Any = None
    optimizer: Any = None
    learned_noise: bool = False
    seed: int = 0

    def config(self, base):
        """Returns the config of the row, for that of the command."""
        base = base if self.base is None else config_lib.get(self.base)
        flow = dataclasses.replace(base.flow, **self.flow)
        return dataclasses.replace(base, **{"flow": flow, **self.fields})

    def build(self, config, form, seed):
        """Returns a compiled `FlowModel` with new weights, for a config that `config` returned."""
        tf_keras.utils.set_random_seed(seed + self.seed)
        distribution = build_distribution(config, form, self.flow_class)
        if self.learned_noise:
            form = form._replace(whole=False)
            distribution = noise.WithLearnedNoise(distribution, form.levels, config.flow.compute_dtype)
        return build_model_of(distribution, config, form, seed + self.seed, self.optimizer)

    def prepare(self, images):
        """Returns a batch as the model of the row takes it."""
        return tf.cast(images, tf.float32) if self.learned_noise else images


BASE = "base"
_ADAM = {"optimizer": "adam", "batch_size": 64, "learning_rate": 1e-2, "clip_norm": 100.0, "warmup_steps": 0}
ROWS = {
    BASE: Row("the config"),
    "seed": Row("the config, another seed", seed=1),
    "without_actnorm": Row("no ActNorm", flow_class=variants.WithoutActNorm),
    "without_mixing": Row("halves in turn instead of mixings", flow_class=variants.WithoutMixing),
    "without_split_prior": Row("no split prior", flow_class=variants.WithoutSplitPrior),
    "gated": Row("blocks with gates", flow_class=variants.Gated),
    "normalised": Row("blocks with layer norm", flow_class=variants.Normalised),
    "learned_noise": Row("variational dequantisation", learned_noise=True),
    "bound_2": Row("log-scales within 2", flow={"log_scale_bound": 2.0}),
    "two_blocks": Row("two blocks a network, half as many steps", flow={"residual_blocks": 2, "depth": 8}),
    "wide": Row("width 96", flow={"width": 96}),
    "deep": Row("28 steps in the first level", flow={"depth": 28}),
    "adam": Row("Adam, the same rate", fields={"optimizer": "adam"}),
    "adamax": Row("Adamax, the same rate", optimizer=tf_keras.optimizers.Adamax),
    "rate_half": Row("half the rate", fields={"learning_rate": 1e-3}),
    "rate_double": Row("twice the rate", fields={"learning_rate": 4e-3}),
    "constant_rate": Row("a constant rate", fields={"cosine_decay": False, "warmup_steps": 0}),
    "without_averages": Row("no averaged weights", fields={"averaging": None}),
    "batch_64": Row("batches of 64", fields={"batch_size": 64}),
    "real_nvp": Row("`cifar10_small`: the faithful flow", base="cifar10_small"),
    "real_nvp_adam": Row("the same with Adam in batches of 64", base="cifar10_small", fields=_ADAM),
}
