"""A Keras model whose loss is a likelihood: its optimizer, its steps and its metrics (paper, section 4.1)."""

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tfp_realnvp.checks import (
    check_bool,
    check_distribution,
    check_int,
    check_not_keras_3,
    check_number,
)
from tfp_realnvp.keywords import conditioning_of_distribution
from tfp_realnvp.likelihood import bits_per_dim
from tfp_realnvp.pixels import levels_of
from tfp_realnvp.runtime.observation import observing_layers
from tfp_realnvp.runtime.replicas import replica_local, sum_over_replicas
from tfp_realnvp.training.adam import Adam
from tfp_realnvp.training.averages import WeightAverages
from tfp_realnvp.training.data import unpack
from tfp_realnvp.training.failures import Failure, squared_norms
from tfp_realnvp.training.keras_variables import (
    check_built,
    freeze_statistics,
    frozen_variables,
    group_variables,
    warn_of_unseen,
)
from tfp_realnvp.training.metrics import Mean
from tfp_realnvp.training.objective import EVALUATION, TRAINING, Objective

_EMPTY_BATCH = "a training batch holds no image: leave out empty batches, e.g. by `drop_remainder=True`"
LEGACY = tf_keras.optimizers.legacy.Optimizer


class LikelihoodModel(tf_keras.Model):
    """What one step of a `FlowModel` does, in training, evaluation and prediction."""

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
        check_distribution(distribution)
        check_built(distribution)
        check_bool("dequantize", dequantize)
        check_number("l2", l2, lambda w: w >= 0, "0 or more; 0 leaves the penalty out")
        check_int("seed", seed, 0, meaning="which selects the noise")
        self.distribution = distribution
        self.levels = levels_of(distribution, levels)
        self.dequantize = dequantize
        self.l2 = l2
        self.seed = tf.Variable(seed, dtype=tf.int64, trainable=False, name="seed")
        self._objective = Objective(distribution, levels=self.levels, add_noise=dequantize, l2=l2, seed=self.seed)
        self._evaluated_batches = replica_local(lambda: tf.zeros([], tf.int64), "evaluated_batches")
        self._draw = replica_local(lambda: tf.zeros([], tf.int64), "draw")
        self._failure = Failure()
        self._loss = Mean(name="loss")
        self._bits_per_dim = Mean(name="bits_per_dim")
        self._gradient_norm = Mean(name="gradient_norm")
        self.variable_groups = group_variables(distribution)
        self.averages = None if averaging is None else WeightAverages(distribution.variables, averaging)
        self.built = True

    @property
    def metrics(self) -> list[tf_keras.metrics.Metric]:
        return [self._loss, self._bits_per_dim, self._gradient_norm]

    def compile(self, optimizer: Any = None, **kwargs: Any) -> None:
        """As in Keras. The loss is fixed; the default optimizer is the paper's: Adam 1e-3, global norm clipped to 100.

        Layers with `trainable=False` are not trained: `model.layers`, each of which is a coupling or another bijector
        of the distribution, and Keras layers in conditioners. A frozen bijector keeps its running statistics, too. As
        in Keras, `compile` comes after freezing.

        Args:
          optimizer: tf_keras optimizer, or its name. `tfp_realnvp.Adam` is the faster Adam.
          **kwargs: `steps_per_execution`, `jit_compile`, `run_eagerly`, as in Keras.

        Raises:
          ValueError: for a loss or metrics.
          TypeError: for an optimizer of Keras 3.
        """
        for name in ("loss", "metrics", "loss_weights", "weighted_metrics"):
            if kwargs.get(name) is not None:
                raise ValueError(f"`{name}`={kwargs[name]!r}: FlowModel's loss is the likelihood; leave `{name}` out.")
        if optimizer is None:
            optimizer = Adam(1e-3, epsilon=1e-8, global_clipnorm=100.0)
        check_not_keras_3("optimizer", optimizer)
        super().compile(optimizer=optimizer, **kwargs)
        frozen = frozen_variables(self.distribution, self.variable_groups)
        freeze_statistics(self.distribution, frozen)
        self._compiled_frozen = frozenset(frozen)
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
        frozen = frozen_variables(self.distribution, self.variable_groups)
        return [v for v in self.distribution.trainable_variables if id(v) not in frozen] if self.trainable else []

    @property
    def non_trainable_weights(self) -> list[tf.Variable]:
        """All other variables."""
        trainable = {id(v) for v in self.trainable_weights}
        found = super().trainable_weights + super().non_trainable_weights
        return [v for v in {id(v): v for v in found}.values() if id(v) not in trainable]

    def check_compiled(self) -> None:
        """Raises an error unless the model is compiled, for the layers that are to be trained now."""
        if self.optimizer is None:
            raise RuntimeError(
                f"{self.name} is not compiled: call `compile()` before `fit`; its defaults are the paper's."
            )
        if frozen_variables(self.distribution, self.variable_groups) != self._compiled_frozen:
            raise RuntimeError("a layer's `trainable` was changed after `compile`: call `compile` again, as in Keras.")
        if not self.trainable_weights:
            raise ValueError("no variable is trainable: set `trainable` of the model, or of a layer, to True.")

    def call(self, images: tf.Tensor, conditioning: tf.Tensor | None = None) -> tf.Tensor:
        """Returns the bits/dim of each image, [N], with the noise of the next evaluation batch."""
        return bits_per_dim(self._evaluation_log_prob(images, conditioning), self.distribution.event_shape)

    @tf.autograph.experimental.do_not_convert  # It takes time, and nothing here is to be converted.
    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        images, conditioning, weights = self._unpack(data)
        with tf.control_dependencies([tf.debugging.assert_positive(tf.shape(images)[0], _EMPTY_BATCH)]):
            images = tf.identity(images)
        step = tf.cast(self.optimizer.iterations, tf.int64)
        context = tf.distribute.get_replica_context()
        variables = self.trainable_variables
        scaling = self.optimizer if isinstance(self.optimizer, tf_keras.mixed_precision.LossScaleOptimizer) else None
        with tf.GradientTape() as tape, observing_layers() as record:
            log_prob = self._objective.log_prob(images, conditioning, stream=TRAINING, batch=step)
            objective = self._objective(log_prob, weights)
            loss = objective / context.num_replicas_in_sync
            scaled = loss if scaling is None else scaling.get_scaled_loss(loss)
        warn_of_unseen(tape, self.distribution.trainable_variables)
        gradients = tape.gradient(scaled, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        if scaling is not None:
            gradients = scaling.get_unscaled_gradients(gradients)
        # The loss is summed too, since replicas that disagree on whether the step failed would differ ever after.
        gradients, record.sums, loss = sum_over_replicas([gradients, record.sums, loss])
        # Keras' loss scaling lowers the scale until gradients are finite, and leaves out the steps until then.
        may_overflow = False if scaling is None else scaling.loss_scale > 1
        squares = squared_norms(gradients)
        finite = self._failure.check(step, loss, record, squares, variables, may_overflow)
        context.merge_call(self._apply, args=(finite, gradients))
        logs = self._update_metrics(objective, log_prob, weights)
        norm = tf.sqrt(tf.reduce_sum(squares))
        counted = tf.math.is_finite(norm)  # Steps that loss scaling leaves out have none.
        self._gradient_norm.update_state(tf.where(counted, norm, 0.0), tf.cast(counted, tf.float32))
        return logs | {self._gradient_norm.name: self._gradient_norm.result()}

    def _apply(self, strategy: tf.distribute.Strategy, finite: tf.Tensor, gradients: list[tf.Tensor]) -> None:
        """Takes one step of optimizer and averages if `finite`; gradients of 0 would not do, since momentum goes on.

        It is called for all replicas together, as Keras' loss scaling does: within a replica, optimizers can't be
        called in a branch.
        """

        def apply(gradients: list[tf.Tensor]) -> None:
            pairs = zip(gradients, self.trainable_variables, strict=True)
            if isinstance(self.optimizer, LEGACY):
                self.optimizer.apply_gradients(pairs)
            else:
                self.optimizer.apply_gradients(pairs, skip_gradients_aggregation=True)
            if self.averages is not None:
                self.averages.update()

        def step() -> tf.Tensor:
            strategy.extended.call_for_each_replica(apply, args=(gradients,))
            return tf.zeros([])

        tf.cond(strategy.experimental_local_results(finite)[0], step, lambda: tf.zeros([]))

    @tf.autograph.experimental.do_not_convert
    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        images, conditioning, weights = self._unpack(data)
        log_prob = self._evaluation_log_prob(images, conditioning)
        self._evaluated_batches.assign_add(1)
        return self._update_metrics(self._objective(log_prob, weights), log_prob, weights)

    @tf.autograph.experimental.do_not_convert
    def predict_step(self, data: Any) -> tf.Tensor:
        images, conditioning, _ = self._unpack(data)
        result = self.call(images, conditioning)  # Not through __call__, which casts to the policy's compute dtype.
        self._evaluated_batches.assign_add(1)
        return result

    def _unpack(self, data: Any) -> tuple[tf.Tensor, tf.Tensor | None, tf.Tensor | None]:
        """Returns images, conditioning and weights of a batch, with the shapes that generators don't know."""
        images, conditioning, weights = unpack(data)
        images = tf.ensure_shape(images, [None, *self.distribution.event_shape])
        if conditioning is not None and conditioning.shape.rank is None:
            size = conditioning_of_distribution(self.distribution).size
            conditioning = tf.ensure_shape(conditioning, [None, size])
        return images, conditioning, weights

    def _evaluation_log_prob(self, images: tf.Tensor, conditioning: tf.Tensor | None) -> tf.Tensor:
        batch, draw = self._evaluated_batches, self._draw
        return self._objective.log_prob(images, conditioning, stream=EVALUATION, batch=batch, draw=draw)

    def _update_metrics(
        self, objective: tf.Tensor, log_prob: tf.Tensor, weights: tf.Tensor | None
    ) -> dict[str, tf.Tensor]:
        self._loss.update_state(bits_per_dim(-objective, self.distribution.event_shape), tf.shape(log_prob)[0])
        self._bits_per_dim.update_state(bits_per_dim(log_prob, self.distribution.event_shape), weights)
        return {m.name: m.result() for m in (self._loss, self._bits_per_dim)}
