"""Maximum likelihood for any distribution over images, as a model of tf_keras (paper, section 4.1)."""

import warnings
from typing import Any

import tensorflow as tf
import tf_keras

from tfp_realnvp.checks import check_not_keras_3
from tfp_realnvp.training.adam import Adam
from tfp_realnvp.training.keras_methods import KerasMethods
from tfp_realnvp.training.metrics import Mean
from tfp_realnvp.training.steps import LEGACY, Steps
from tfp_realnvp.training.variable_group import VariableGroup


@tf_keras.saving.register_keras_serializable("tfp_realnvp")  # A file names it so, wherever its module lies.
class FlowModel(KerasMethods, tf_keras.Model):
    """Trains a `tfd.Distribution` over images by `compile`, `fit`, `evaluate` and `predict`.

    Data are images [N, H, W, C] of whole numbers in [0, levels), any integer or float type, as NumPy arrays or
    `tf.data`; for a conditional flow, pairs (images, conditioning).

        minimised = mean(-log_prob(images + noise)) + l2 * sum(v ** 2 over regularized variables)      nats per image

    so that clip norm and `l2` mean what they mean in the paper. Logs are in bits/dim: `loss` is the above over
    H * W * C * ln 2, and `bits_per_dim` is without the penalty. Training alone has `gradient_norm`, the mean over steps
    of the global norm of the gradients before clipping, nats per image. Noise is uniform in [0, 1). It is drawn anew in
    each training step and is the same in every evaluation. `predict` returns bits/dim per image, [N]; `sample` draws
    pictures and `log_prob` gives nats, both with the weights that `evaluate` uses.

    Under a `tf.distribute` strategy the batch is split over the replicas, and each needs at least one image: batch a
    dataset with `drop_remainder=True`. If the shares are equal, the result is that of one replica.

    A step whose loss or gradient is not finite changes no weight, and `fit` raises `FloatingPointError` that names the
    step and the first layer that was not finite. Under the policy "mixed_float16" the loss is scaled, as by Keras:
    while the scale can be lowered, steps whose gradients are not finite are left out.

    `save("NAME.keras")` and a `ModelCheckpoint` keep everything that training needs to go on, and
    `tf_keras.models.load_model` returns it, compiled and the same bit for bit. `export(DIRECTORY)` writes a SavedModel
    for serving, with the weights of `evaluate`.

    >>> flow = RealNVPImage(channels=1, num_scales=1, width=4, residual_blocks=0)
    >>> prior = tfd.Sample(tfd.Normal(0.0, 1.0), sample_shape=[4, 4, 1])
    >>> model = FlowModel(tfd.TransformedDistribution(prior, flow))
    >>> model.compile()
    >>> history = model.fit(np.zeros([8, 4, 4, 1], np.uint8), epochs=2, verbose=0)
    >>> sorted(history.history)
    ['bits_per_dim', 'gradient_norm', 'loss']
    """

    library = tf_keras
    load_with = (
        "`import tfp_realnvp`, then `tf_keras.models.load_model`: this is a file of tf_keras, and Keras 3, which is "
        "`keras` and `tf.keras`, can't load it"
    )
    group_class = VariableGroup
    mean_class = Mean
    steps_class = Steps
    default_optimizer_class = Adam

    def compile(self, optimizer: Any = None, **kwargs: Any) -> None:
        check_not_keras_3("optimizer", optimizer)
        super().compile(optimizer, **kwargs)
        if not isinstance(self.optimizer, LEGACY):  # They have no `build`.
            self.optimizer.build(self.trainable_variables)  # So that checkpoints hold its slots from the start.
        elif self.distribute_strategy.num_replicas_in_sync > 1:
            raise ValueError(
                f"`optimizer`={optimizer!r}: a legacy optimizer can't take its steps under several replicas; take the "
                "one of the same name from `tf_keras.optimizers`, or `tfp_realnvp.Adam`."
            )

    @property
    def trainable_weights(self) -> list[tf.Variable]:
        """The distribution's trainable variables but those of frozen layers, see `compile`."""
        frozen = self.frozen_variables()
        return [v for v in self.distribution.trainable_variables if id(v) not in frozen] if self.trainable else []

    @property
    def non_trainable_weights(self) -> list[tf.Variable]:
        """All other variables."""
        trainable = {id(v) for v in self.trainable_weights}
        found = super().trainable_weights + super().non_trainable_weights
        return [v for v in {id(v): v for v in found}.values() if id(v) not in trainable]

    def save(self, filepath: Any, overwrite: bool = True, **kwargs: Any) -> None:
        if isinstance(self.optimizer, LEGACY):
            warnings.warn(
                "Keras keeps no state of a legacy optimizer in a NAME.keras: training goes on from it with moments of "
                "0. Take the optimizer of the same name from `tf_keras.optimizers`, or `tfp_realnvp.Adam`.",
                stacklevel=2,
            )
        super().save(filepath, overwrite, **kwargs)
