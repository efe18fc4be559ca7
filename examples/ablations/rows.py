"""The rows of BUILD.md's table: a config with something more, something less, or something else."""

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tf_keras

from examples import config as config_lib
from examples.ablations import noise, variants
from examples.models import build_distribution, build_model_of


def _of(**changes):
    """Returns a function from a config to one with other fields; each change is a value, or a function of the old."""

    def change(config):
        values = {name: new(getattr(config, name)) if callable(new) else new for name, new in changes.items()}
        return dataclasses.replace(config, **values)

    return change


def _flow(**changes):
    return _of(flow=_of(**changes))


@dataclasses.dataclass(frozen=True)
class Row:
    """What differs from the config.

    Attributes:
      what: str, for the table.
      config: function from the command's `Config` to that of the row.
      flow_class: class in the place of `GlowImage`, or None.
      optimizer: class in the place of the config's, or None.
      learned_noise: bool, variational instead of uniform dequantisation.
      seed: int, that the command's is increased by.
    """

    what: str
    config: Callable[[config_lib.Config], config_lib.Config] = lambda config: config
    flow_class: Any = None
    optimizer: Any = None
    learned_noise: bool = False
    seed: int = 0

    def values(self, base):
        """Returns all that the row is, for the config of the command: a dict for JSON."""
        classes = {name: getattr(getattr(self, name), "__name__", None) for name in ("flow_class", "optimizer")}
        noise_and_seed = {"learned_noise": self.learned_noise, "seed": self.seed}
        return {"config": self.config(base).values, **classes, **noise_and_seed}

    def build(self, config, form, seed):
        """Returns a compiled `FlowModel` with new weights, for a config that `config` returned."""
        tf_keras.utils.set_random_seed(seed + self.seed)
        distribution = build_distribution(config.flow, form, self.flow_class)
        if self.learned_noise:
            form = form._replace(whole=False)
            distribution = noise.WithLearnedNoise(distribution, form.levels, config.flow.compute_dtype)
        return build_model_of(distribution, config, form, seed + self.seed, self.optimizer)

    def prepare(self, images):
        """Returns a batch as the model of the row takes it."""
        return tf.cast(images, tf.float32) if self.learned_noise else images


BASE = "base"
_MUON = _of(optimizer="muon", batch_size=32, learning_rate=2e-3, clip_norm=2000.0, warmup_steps=200)
ROWS = {
    BASE: Row("the config"),
    "seed": Row("the config, another seed", seed=1),
    "without_actnorm": Row("no ActNorm", flow_class=variants.WithoutActNorm),
    "without_mixing": Row("halves in turn instead of mixings", flow_class=variants.WithoutMixing),
    "without_split_prior": Row("no split prior", flow_class=variants.WithoutSplitPrior),
    "gated": Row("blocks with gates", flow_class=variants.Gated),
    "normalised": Row("blocks with layer norm", flow_class=variants.Normalised),
    "relu": Row("ReLUs that are not leaky", flow_class=variants.Relu),
    "learned_noise": Row("variational dequantisation", learned_noise=True),
    "bound": Row("log-scales within twice the bound", _flow(log_scale_bound=lambda bound: 2 * bound)),
    "more_blocks": Row(
        "twice the blocks a network, half the steps",
        _flow(residual_blocks=lambda blocks: 2 * blocks, depth=lambda depth: max(1, depth // 2)),
    ),
    "wide": Row("1.5 times the width", _flow(width=lambda width: width * 3 // 2)),
    "deep": Row("twice the steps", _flow(depth=lambda depth: 2 * depth)),
    "adam": Row("Adam, the same rate", _of(optimizer="adam")),
    "adamax": Row("Adamax, the same rate", optimizer=tf_keras.optimizers.Adamax),
    "rate_half": Row("half the rate", _of(learning_rate=lambda rate: rate / 2)),
    "rate_double": Row("twice the rate", _of(learning_rate=lambda rate: 2 * rate)),
    "constant_rate": Row("a constant rate", _of(cosine_decay=False, warmup_steps=0)),
    "without_averages": Row("no averaged weights", _of(averaging=None)),
    "batch": Row("twice the batch", _of(batch_size=lambda size: 2 * size)),
    "real_nvp": Row("`cifar10_small`: the faithful flow", lambda config: config_lib.get("cifar10_small")),
    "real_nvp_muon": Row("the same by Muon in batches of 32", lambda config: _MUON(config_lib.get("cifar10_small"))),
}
