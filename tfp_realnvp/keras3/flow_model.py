"""Maximum likelihood for any distribution over images, as a model of Keras 3."""

import functools
from typing import Any

import keras
import tensorflow as tf

from tfp_realnvp.checks import check_int
from tfp_realnvp.keras3.steps import Steps, check_optimizer, check_several_replicas, sums_no_gradients
from tfp_realnvp.keras3.variable_group import VariableGroup
from tfp_realnvp.saving.description import check_rebuilds, describe
from tfp_realnvp.training.keras_methods import KerasMethods


@keras.saving.register_keras_serializable("tfp_realnvp.keras3")
class FlowModel(KerasMethods, keras.Model):
    """Trains a `tfd.Distribution` over images under Keras 3; all else is as in `tfp_realnvp.FlowModel`.

    The same weights, data and seed give the same losses under either Keras, and `save_flow` and `load_flow` take a flow
    from one to the other. Optimizers, schedules and callbacks are those of `keras`.

    >>> import keras
    >>> from tfp_realnvp.keras3 import FlowModel
    >>> flow = RealNVPImage(channels=1, num_scales=1, width=4, residual_blocks=0)
    >>> prior = tfd.Sample(tfd.Normal(0.0, 1.0), sample_shape=[4, 4, 1])
    >>> model = FlowModel(tfd.TransformedDistribution(prior, flow))
    >>> model.compile(keras.optimizers.AdamW(1e-3))
    >>> history = model.fit(np.zeros([8, 4, 4, 1], np.uint8), epochs=2, verbose=0)
    >>> sorted(history.history)
    ['bits_per_dim', 'gradient_norm', 'loss']
    """

    library = keras
    load_with = (
        "`import tfp_realnvp.keras3`, then `keras.models.load_model`: this is a file of Keras 3, and tf_keras can't "
        "load it"
    )
    mean_class = keras.metrics.Mean
    steps_class = Steps
    default_optimizer_class = keras.optimizers.Adam

    def __init__(self, distribution: Any, **arguments: Any) -> None:
        """Builds the model; arguments and errors are those of `tfp_realnvp.FlowModel`.

        Raises:
          RuntimeError: under a `MultiWorkerMirroredStrategy`, too.
        """
        if isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy):
            raise RuntimeError(
                "Keras 3 does not train under `MultiWorkerMirroredStrategy` (keras issue 20585): take "
                "`tfp_realnvp.FlowModel`, of tf_keras; `save_flow` and `load_flow` take a flow there and back."
            )
        super().__init__(distribution, **arguments)
        self.autocast = False  # Under a narrower policy Keras would round pixels.

    @property
    def group_class(self) -> Any:
        variables = [v for layer in self.layers_of_networks() for v in layer.variables]
        known = {id(v.value): v for v in variables if isinstance(v, keras.Variable)}
        return functools.partial(VariableGroup, known=known)

    def compile(self, optimizer: Any = None, **kwargs: Any) -> None:
        """See `tfp_realnvp.FlowModel`; XLA compiles the steps with `jit_compile=True` alone, and not by default."""
        check_optimizer(optimizer)
        check_int("steps_per_execution", kwargs.get("steps_per_execution", 1), 1)  # Keras 3 fails in `fit` only.
        frozen = self.frozen_variables()
        for v in (v for group in self.variable_groups for v in group.variables):
            v.trainable = v.value.trainable and id(v.value) not in frozen  # Layers of tf_keras have flags of their own.
        super().compile(optimizer, **{"jit_compile": False} | kwargs)
        sums_no_gradients(self.optimizer)
        if not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)  # So that checkpoints hold its slots from the start.

    def check_compiled(self) -> None:
        super().check_compiled()
        check_several_replicas(self)

    def check_description(self) -> None:
        check_rebuilds(self.distribution, describe(self.distribution))  # Keras 3 would say it when it loads.
