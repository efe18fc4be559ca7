"""A Keras model whose loss is a likelihood: its optimizer, its steps and its metrics (paper, section 4.1)."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tfp_realnvp.training.maximum_likelihood import MaximumLikelihood, Sums
from tfp_realnvp.training.model_files import ModelFiles
from tfp_realnvp.training.variable_groups import freeze_statistics, named_groups

_unconverted = tf.autograph.experimental.do_not_convert


class LikelihoodSteps(ModelFiles):
    """What one step of a `FlowModel` does, in training, evaluation and prediction, under either Keras.

    Attributes:
      group_class: layer of that Keras, made of (members, name, trainable), that shows variables to it.
      mean_class: its metric.
      steps_class: an `OptimizerOfKeras`, made of (optimizer, variables).
      default_optimizer_class: its Adam.
    """

    group_class: Any
    mean_class: type
    steps_class: type
    default_optimizer_class: type

    def __init__(
        self,
        distribution: tfp.distributions.Distribution,
        *,
        levels: int | None = None,
        dequantize: bool = True,
        l2: float = 5e-5,
        averaging: float | None = None,
        seed: int = 0,
        name: str = "flow_model",
    ) -> None:
        """Builds the model around `distribution`, whose variables it trains.

        Args:
          distribution: `tfd.Distribution` with a static event shape [H, W, C]; `log_prob` in nats, of pixels in
            [0, levels). An `ImageBijector` in a `TransformedDistribution` receives `training` and `conditioning`.
          levels: Python int, how many values a pixel can have. Default: that of the flow's `PixelLogit`, else 256.
          dequantize: Python bool; add noise. False for pixels that are continuous already.
          l2: float; weight of the penalty on the `regularized_variables` of the distribution's layers, also in flows of
            your own; 0 for none.
          averaging: float decay, or None; evaluate with moving averages of weights and statistics
            (`WeightAverages`).
          seed: Python int, of all noise.
          name: Python str.

        Raises:
          ValueError, TypeError: for an argument out of range or of another type, or `levels` that are not the flow's.
        """
        super().__init__(name=name)
        self.likelihood = MaximumLikelihood(
            distribution, levels=levels, dequantize=dequantize, l2=l2, averaging=averaging, seed=seed
        )
        self.distribution = distribution
        for layer in self.layers_of_networks():
            if not layer.built:
                raise ValueError(
                    f"`distribution` holds the Keras layer {layer.name!r}, which is not built and has no variables to "
                    "train yet; call its `build`, e.g. with [None, None, None, C], before it is passed on."
                )
            if layer.losses:
                raise ValueError(
                    f"`distribution` holds the Keras layer {layer.name!r}, which has losses of its own, as by a "
                    "`kernel_regularizer`: FlowModel's loss is the likelihood and `l2` times the squares of the "
                    "distribution's `regularized_variables`; build the layer without them."
                )
        self._means = [self.mean_class(name=name) for name in ("loss", "bits_per_dim", "gradient_norm")]
        group_class = self.group_class
        self.variable_groups = [group_class(members, name, True) for name, members in named_groups(distribution)]
        averages = self.likelihood.averages
        if averages is not None:
            members = [*averages.averages, averages.num_updates]
            self._averages_group = group_class(members, averages.name, False)
        self.built = True

    def layers_of_networks(self) -> Sequence[Any]:
        """Returns the layers of either Keras in the distribution, which are its conditioners."""
        parts = self.distribution.submodules
        of_keras_3 = [part.layer for part in parts if getattr(part, "of_keras", False)]
        return [part for part in parts if isinstance(part, tf_keras.layers.Layer)] + of_keras_3

    @property
    def metrics(self) -> list[Any]:
        return list(self._means)

    def compile(self, optimizer: Any = None, **kwargs: Any) -> None:
        """As in Keras. The loss is fixed; the default optimizer is the paper's: Adam 1e-3, global norm clipped to 100.

        Layers with `trainable=False` are not trained: `model.layers`, each of which is a coupling or another bijector
        of the distribution, and Keras layers in conditioners. A frozen bijector keeps its running statistics, too. As
        in Keras, `compile` comes after freezing.

        Args:
          optimizer: optimizer of this Keras, or its name. For tf_keras, `tfp_realnvp.Adam` is the faster Adam.
          **kwargs: `steps_per_execution`, `jit_compile`, `run_eagerly`, as in Keras.

        Raises:
          ValueError: for a loss or metrics.
          TypeError: for an optimizer of the other Keras.
        """
        for name in ("loss", "metrics", "loss_weights", "weighted_metrics"):
            if kwargs.get(name) is not None:
                raise ValueError(f"`{name}`={kwargs[name]!r}: FlowModel's loss is the likelihood; leave `{name}` out.")
        if optimizer is None:
            optimizer = self.default_optimizer_class(1e-3, epsilon=1e-8, global_clipnorm=100.0)
        if self.dtype_policy.name == "mixed_float16" and kwargs.pop("auto_scale_loss", True):
            # Keras would do so itself, but its files would have the optimizer within.
            optimizer, scaling = self.library.optimizers.get(optimizer), self.library.mixed_precision.LossScaleOptimizer
            optimizer = optimizer if isinstance(optimizer, scaling) else scaling(optimizer)
        super().compile(optimizer=optimizer, **kwargs)
        self._compiled_frozen = frozenset(self.frozen_variables())
        freeze_statistics(self.distribution, self._compiled_frozen)

    def frozen_variables(self) -> set[int]:
        """Returns the ids of the variables that are not to be trained.

        They are those of groups, and of Keras layers in the distribution, whose `trainable` is False.
        """
        frozen = {id(v) for group in self.variable_groups if not group.trainable for v in group.members}
        for layer in self.layers_of_networks():
            trainable = {id(v) for v in layer.trainable_weights}
            frozen |= {id(_of_tensorflow(v)) for v in layer.weights if id(v) not in trainable}
        return frozen

    def check_compiled(self) -> None:
        """Raises an error unless the model is compiled, for the layers that are to be trained now."""
        if getattr(self, "optimizer", None) is None:
            raise RuntimeError(
                f"{self.name} is not compiled: call `compile()` before `fit`; its defaults are the paper's."
            )
        if self.frozen_variables() != self._compiled_frozen:
            raise RuntimeError("a layer's `trainable` was changed after `compile`: call `compile` again, as in Keras.")
        if not self.trainable_variables:
            raise ValueError("no variable is trainable: set `trainable` of the model, or of a layer, to True.")

    def call(self, images: tf.Tensor, conditioning: tf.Tensor | None = None) -> tf.Tensor:
        """Returns the bits/dim of each image, [N], with the noise of the next evaluation batch."""
        return self.likelihood.bits_per_dim(images, conditioning)

    # AutoGraph takes time, and nothing in the steps is to be converted. The methods that Keras calls are not decorated
    # themselves: AutoGraph loses the `self` of such a method if it is given to `strategy.run`.
    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Takes a training step; Keras calls it, or a training loop of your own in `strategy.run`."""
        return _unconverted(self._train)(data)

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Evaluates a batch; Keras calls it."""
        return _unconverted(self._test)(data)

    def predict_step(self, data: Any) -> tf.Tensor:
        """Returns the bits/dim of each image of a batch, [N]; Keras calls it."""
        # Not by __call__, which casts to the policy's compute dtype.
        return _unconverted(self.likelihood.predict)(data)

    def _train(self, data: Any) -> dict[str, tf.Tensor]:
        trainable = self.trainable_variables
        variables = [_of_tensorflow(v) for v in trainable]
        sums, squares = self.likelihood.train(data, variables, self.steps_class(self.optimizer, trainable))
        norm = tf.sqrt(tf.reduce_sum(squares))
        counted = tf.math.is_finite(norm)  # Steps that loss scaling leaves out have none.
        add = tf.where(counted, norm, 0.0), tf.cast(counted, tf.float32)
        return self._update_means(sums) | {"gradient_norm": _added(self._means[2], *add)}

    def _test(self, data: Any) -> dict[str, tf.Tensor]:
        return self._update_means(self.likelihood.test(data))

    def _update_means(self, sums: Sums) -> dict[str, tf.Tensor]:
        loss, bits, _ = self._means
        return {
            "loss": _added(loss, sums.loss, sums.images),
            "bits_per_dim": _added(bits, sums.bits_per_dim, sums.weights),
        }


def _of_tensorflow(variable: Any) -> tf.Variable:
    """Returns the variable of TensorFlow behind one of either Keras."""
    return variable if isinstance(variable, tf.Variable) else variable.value


def _added(mean: Any, total: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Adds what all replicas have found to a metric of each of them; returns its mean since it was reset."""
    mean.total.assign_add(total)
    mean.count.assign_add(count)
    return mean.result()
