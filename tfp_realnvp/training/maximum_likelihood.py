"""Maximum likelihood of a distribution over images, step by step, for a model of either Keras (paper, section 4.1)."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.checks import check_bool, check_distribution, check_int, check_number
from tfp_realnvp.keywords import conditioning_of_distribution
from tfp_realnvp.likelihood import bits_per_dim
from tfp_realnvp.pixels import dequantize, levels_of
from tfp_realnvp.runtime.observation import observing_layers
from tfp_realnvp.runtime.replicas import replica_local, sum_over_replicas
from tfp_realnvp.training.averages import WeightAverages
from tfp_realnvp.training.data import check_images, unpack
from tfp_realnvp.training.failures import Failure, squared_norms
from tfp_realnvp.training.initialization import first_batch, initialize_from_data, uninitialized
from tfp_realnvp.training.objective import EVALUATION, TRAINING, Objective
from tfp_realnvp.training.stop_vote import StopVote
from tfp_realnvp.training.unseen import warn_of_unseen

_BEFORE_TRAINING = -1  # Selects noise that no step gets.
_EMPTY_BATCH = "a training batch holds no image: leave out empty batches, e.g. by `drop_remainder=True`"


class OptimizerOfKeras(Protocol):
    """What a training step asks of an optimizer. Without loss scaling, loss and gradients are left as they are."""

    def step(self) -> tf.Tensor:
        """Returns how many steps were taken, int64."""

    def scaled(self, loss: tf.Tensor) -> tf.Tensor: ...

    def unscaled(self, gradients: list[tf.Tensor]) -> list[tf.Tensor]: ...

    def may_overflow(self) -> Any:
        """Whether gradients that are not finite lower the loss' scale and are no failure, a bool."""

    def apply(self, gradients: list[tf.Tensor]) -> None:
        """Takes one step by gradients, not scaled, that were summed over the replicas; called in a replica."""


class Sums(NamedTuple):
    """What a step says of a batch, of all replicas together: sums over images in bits/dim, and what to divide them by.

    The first two are for the loss with its penalty, over images, the others for bits/dim, over weights of images.
    """

    loss: tf.Tensor
    images: tf.Tensor
    bits_per_dim: tf.Tensor
    weights: tf.Tensor


class MaximumLikelihood(tf.Module):
    """What a `FlowModel` is made of, but for Keras.

    Attributes:
      distribution, levels, dequantize, l2: the arguments.
      seed: int64 variable.
      averages: `WeightAverages` or None.
      failure: `Failure`.
      stop_vote: `StopVote`.
    """

    def __init__(
        self,
        distribution: tfp.distributions.Distribution,
        *,
        levels: int | None,
        dequantize: bool,
        l2: float,
        averaging: float | None,
        seed: int,
    ) -> None:
        """Checks the arguments, which are those of `FlowModel`, and builds variables."""
        super().__init__(name="maximum_likelihood")
        check_distribution(distribution)
        check_bool("dequantize", dequantize)
        check_number("l2", l2, lambda w: w >= 0, "0 or more; 0 leaves the penalty out")
        check_int("seed", seed, 0, meaning="which selects the noise")
        self.distribution = distribution
        self.levels = levels_of(distribution, levels)
        self.dequantize = dequantize
        self.l2 = l2
        self.seed = tf.Variable(seed, dtype=tf.int64, trainable=False, name="seed")
        self.failure = Failure()
        self.stop_vote = StopVote()
        self.averages = None if averaging is None else WeightAverages(distribution.variables, averaging)
        self._objective = Objective(distribution, levels=self.levels, add_noise=dequantize, l2=l2, seed=self.seed)
        self._evaluated_batches = replica_local(lambda: tf.zeros([], tf.int64), "evaluated_batches")
        self._draw = replica_local(lambda: tf.zeros([], tf.int64), "draw")

    def train(self, data: Any, variables: Sequence[tf.Variable], optimizer: OptimizerOfKeras) -> tuple[Sums, tf.Tensor]:
        """Takes one training step of `variables`, in a replica; returns what it saw and the squares of gradients [G].

        A step that is not finite changes nothing but `failure`.
        """
        images, conditioning, weights = self._unpack(data)
        with tf.control_dependencies([tf.debugging.assert_positive(tf.shape(images)[0], _EMPTY_BATCH)]):
            images = tf.identity(images)
        step = optimizer.step()
        context = tf.distribute.get_replica_context()
        with tf.GradientTape() as tape, observing_layers() as record:
            log_prob = self._objective.log_prob(images, conditioning, stream=TRAINING, batch=step)
            objective = self._objective(log_prob, weights)
            loss = objective / context.num_replicas_in_sync
            scaled = optimizer.scaled(loss)
        warn_of_unseen(tape, self.distribution.trainable_variables)
        gradients = tape.gradient(scaled, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        gradients = optimizer.unscaled(gradients)
        # The loss is summed too, since replicas that disagree on whether the step failed would differ ever after. The
        # sums for the logs are among them, so that all replicas have what they log, by one message.
        summed = [gradients, record.sums, loss, self._sums(objective, log_prob, weights)]
        gradients, record.sums, loss, sums = self.stop_vote.summed_with(summed)
        # Keras' loss scaling lowers the scale until gradients are finite, and leaves out the steps until then.
        squares = squared_norms(gradients)
        finite = self.failure.check(step, loss, record, squares, list(variables), optimizer.may_overflow())

        def move(gradients: list[tf.Tensor]) -> None:
            optimizer.apply(gradients)
            if self.averages is not None:
                self.averages.update()

        def of_all_replicas(strategy: tf.distribute.Strategy, finite: tf.Tensor, gradients: list[tf.Tensor]) -> None:
            # Within a replica, optimizers can't be called in a branch. Gradients of 0 in the place of a branch would
            # not do, since momentum goes on.
            def taken() -> tf.Tensor:
                strategy.extended.call_for_each_replica(move, args=(gradients,))
                return tf.zeros([])

            tf.cond(strategy.experimental_local_results(finite)[0], taken, lambda: tf.zeros([]))

        context.merge_call(of_all_replicas, args=(finite, gradients))
        return Sums(*tf.unstack(sums)), squares

    def test(self, data: Any) -> Sums:
        """Evaluates a batch of `evaluate`, in a replica."""
        images, conditioning, weights = self._unpack(data)
        log_prob = self._log_prob(images, conditioning)
        self._evaluated_batches.assign_add(1)
        (sums,) = sum_over_replicas([self._sums(self._objective(log_prob, weights), log_prob, weights)])
        return Sums(*tf.unstack(sums))

    def predict(self, data: Any) -> tf.Tensor:
        """Returns the bits/dim of each image of a batch of `predict`, [N], in a replica."""
        images, conditioning, _ = self._unpack(data)
        result = self.bits_per_dim(images, conditioning)
        self._evaluated_batches.assign_add(1)
        return result

    def bits_per_dim(self, images: tf.Tensor, conditioning: tf.Tensor | None) -> tf.Tensor:
        """Returns the bits/dim of each image, [N], with the noise of the next evaluation batch."""
        return bits_per_dim(self._log_prob(images, conditioning), self.distribution.event_shape)

    def bits_per_dim_of_batch(
        self, images: tf.Tensor, conditioning: tf.Tensor | None, batch: tf.Tensor, draw: tf.Tensor
    ) -> tf.Tensor:
        """Returns what `predict` gives for batch number `batch`, [N], outside of replicas: bits/dim of each image."""
        log_prob = self._objective.log_prob(images, conditioning, stream=EVALUATION, batch=batch, draw=draw)
        return bits_per_dim(log_prob, self.distribution.event_shape)

    def penalty_bits_per_dim(self) -> tf.Tensor:
        """Returns by how much `loss` exceeds `bits_per_dim`, a scalar, in bits/dim."""
        return bits_per_dim(-self._objective.penalty(), self.distribution.event_shape)

    def check_images(self, argument: str, data: Any, conditioning: Any = None, pass_it: str | None = None) -> None:
        """See `tfp_realnvp.training.data.check_images`."""
        of_model = {"distribution": self.distribution, "levels": self.levels, "whole": self.dequantize}
        check_images(argument, data, conditioning, **of_model, pass_it=pass_it)

    def initialize(self, images: Any, conditioning: Any, strategy: tf.distribute.Strategy) -> None:
        """Starts the layers that start from data and have yet to, and averages after them; see `FlowModel`."""
        self.check_images("images", images, conditioning)
        if not hasattr(images, "shape"):
            raise TypeError(f"`images`={images!r}: must be an array or tensor, one batch, e.g. `next(iter(dataset))`.")
        if not uninitialized(self.distribution):
            return
        with strategy.scope():
            if self.dequantize:
                images = dequantize(images, self.levels, seed=tf.stack([self.seed, _BEFORE_TRAINING]))
            initialize_from_data(self.distribution, images, conditioning=conditioning)
        if self.averages is not None:
            self.averages.restart()

    def look_at_first_batch(
        self, x: Any, y: Any, batch_size: int | None, validation_split: float, strategy: tf.distribute.Strategy
    ) -> Any:
        """Starts the layers that start from data and have yet to; returns x with all its batches still to come."""
        if not uninitialized(self.distribution):
            return x
        with strategy.scope():
            x, (images, conditioning) = first_batch(x, y, batch_size, validation_split)
        self.initialize(images, conditioning, strategy)
        return x

    def evaluation_weights(self) -> contextlib.AbstractContextManager[None]:
        """Within the block the distribution has the averages, if there are any."""
        return contextlib.nullcontext() if self.averages is None else self.averages.swapped_in()

    @contextlib.contextmanager
    def evaluating(self, draw: int = 0) -> Iterator[None]:
        """Within the block, evaluation starts from its first batch, with its own weights."""
        self._evaluated_batches.assign(0)
        self._draw.assign(draw)
        try:
            with self.evaluation_weights():
                yield
        finally:  # So that what a checkpoint holds does not depend on whether the model was evaluated.
            self._evaluated_batches.assign(0)
            self._draw.assign(0)

    def _unpack(self, data: Any) -> tuple[tf.Tensor, tf.Tensor | None, tf.Tensor | None]:
        """Returns images, conditioning and weights of a batch, with the shapes that generators don't know."""
        images, conditioning, weights = unpack(data)
        images = tf.ensure_shape(images, [None, *self.distribution.event_shape])
        if conditioning is not None and conditioning.shape.rank is None:
            size = conditioning_of_distribution(self.distribution).size
            conditioning = tf.ensure_shape(conditioning, [None, size])
        return images, conditioning, weights

    def _sums(self, objective: tf.Tensor, log_prob: tf.Tensor, weights: tf.Tensor | None) -> tf.Tensor:
        """Returns the `Sums` of this replica, float32 [4]."""
        count = tf.cast(tf.size(log_prob), tf.float32)
        loss, bits = (
            tf.cast(bits_per_dim(value, self.distribution.event_shape), tf.float32) for value in (-objective, log_prob)
        )
        if weights is None:
            return tf.stack([loss * count, count, tf.reduce_sum(bits), count])
        weights = tf.cast(weights, tf.float32)
        return tf.stack([loss * count, count, tf.reduce_sum(bits * weights), tf.reduce_sum(weights)])

    def _log_prob(self, images: tf.Tensor, conditioning: tf.Tensor | None) -> tf.Tensor:
        batch, draw = self._evaluated_batches, self._draw
        return self._objective.log_prob(images, conditioning, stream=EVALUATION, batch=batch, draw=draw)
