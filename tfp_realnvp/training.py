"""Maximum likelihood for any distribution over images, as a Keras model (paper, section 4.1)."""

import contextlib

import tensorflow as tf
import tf_keras

from tfp_realnvp import health
from tfp_realnvp.adam import Adam
from tfp_realnvp.averaging import WeightAverages
from tfp_realnvp.checks import check_bool, check_distribution, check_int, check_not_keras_3, check_number
from tfp_realnvp.image_bijector import image_log_prob
from tfp_realnvp.keras_data import check_images, keep_weights, unpack
from tfp_realnvp.keras_saving import Mean, SavableModel, check_callbacks
from tfp_realnvp.likelihood import bits_per_dim
from tfp_realnvp.pixel_logit import check_levels, dequantize
from tfp_realnvp.replicas import replica_local, sum_over_replicas
from tfp_realnvp.variables import check_built, group_variables, warn_of_unseen


class FlowModel(SavableModel):
    """Trains a `tfd.Distribution` over images by `compile`, `fit`, `evaluate` and `predict`.

    Data are images [N, H, W, C] of whole numbers in [0, levels), any integer or float type, as NumPy arrays or
    `tf.data`; for a conditional flow, pairs (images, conditioning).

        minimised = mean(-log_prob(images + noise)) + l2 * sum(v ** 2 over regularized variables)      nats per image

    so that clip norm and `l2` mean what the paper's do. What is logged is in bits/dim: `loss`, the above over
    H * W * C * ln 2, and `bits_per_dim`, without the penalty. Noise is uniform in [0, 1): drawn anew each training
    step, the same in every evaluation. `predict` gives bits/dim per image, [N].

    Under a `tf.distribute` strategy the batch is split over the replicas, and each needs an image at least: batch a
    dataset with `drop_remainder=True`. Equal shares give what one replica gives.

    A step with a loss or gradient that is not finite changes no weight, and `fit` raises `FloatingPointError` that
    names the step and the first layer that was not finite. Under the policy "mixed_float16" the loss is scaled, as
    Keras does it: steps whose gradients are not finite are left out while the scale can be lowered.

    `save("NAME.keras")` keeps all that training needs to go on; `tf_keras.models.load_model` gives it back, compiled.
    `export(DIRECTORY)` writes a SavedModel for serving, with the weights of `evaluate`.

    >>> flow = RealNVPImage(channels=1, num_scales=1, width=4, residual_blocks=0)
    >>> prior = tfd.Sample(tfd.Normal(0.0, 1.0), sample_shape=[4, 4, 1])
    >>> model = FlowModel(tfd.TransformedDistribution(prior, flow))
    >>> model.compile()
    >>> history = model.fit(np.zeros([8, 4, 4, 1], np.uint8), epochs=2, verbose=0)
    >>> sorted(history.history)
    ['bits_per_dim', 'loss']
    """

    def __init__(
        self, distribution, *, levels=256, dequantize=True, l2=5e-5, averaging=None, seed=0, name="flow_model"
    ):
        """Builds the model around `distribution`, whose variables it trains.

        Args:
          distribution: `tfd.Distribution` with a static event shape [H, W, C]; `log_prob` in nats, of pixels in
            [0, levels). An `ImageBijector` in a `TransformedDistribution` receives `training` and `conditioning`.
          levels: Python int.
          dequantize: Python bool; add noise. False for pixels that are continuous already.
          l2: float; weight of the penalty on the `regularized_variables` of the distribution's submodules.
          averaging: float decay, or None; evaluate with moving averages of weights and statistics
            (`WeightAverages`).
          seed: Python int, of all noise.
          name: Python str.
        """
        super().__init__(name=name)
        check_levels(levels)
        check_distribution(distribution)
        check_built(distribution)
        check_bool("dequantize", dequantize)
        check_number("l2", l2, lambda w: w >= 0, "0 or more; 0 leaves the penalty out")
        check_int("seed", seed, 0, meaning="which selects the noise")
        self.distribution = distribution
        self.levels = levels
        self.dequantize = dequantize
        self.l2 = l2
        self.seed = tf.Variable(seed, dtype=tf.int64, trainable=False, name="seed")
        self._regularized = [v for m in distribution.submodules for v in getattr(m, "regularized_variables", ())]
        self._evaluated_batches = replica_local(tf.zeros([], tf.int64), "evaluated_batches")
        self._failure = health.Failure()
        self._loss = Mean(name="loss")
        self._bits_per_dim = Mean(name="bits_per_dim")
        self.variable_groups = group_variables(distribution.variables)
        self.averages = None if averaging is None else WeightAverages(distribution.variables, averaging)
        self.built = True

    @property
    def metrics(self):
        return [self._loss, self._bits_per_dim]

    def compile(self, optimizer=None, **kwargs):
        """As in Keras. The loss is fixed; the default optimizer is the paper's: Adam 1e-3, global norm clipped to 100.

        Args:
          optimizer: tf_keras optimizer, or its name. `tfp_realnvp.Adam` is the faster Adam.
          **kwargs: `steps_per_execution`, `jit_compile`, `run_eagerly`, as in Keras.
        """
        for name in ("loss", "metrics", "loss_weights", "weighted_metrics"):
            if kwargs.get(name) is not None:
                raise ValueError(f"`{name}`={kwargs[name]!r}: FlowModel's loss is the likelihood; leave `{name}` out.")
        if optimizer is None:
            optimizer = Adam(1e-3, epsilon=1e-8, global_clipnorm=100.0)
        check_not_keras_3("optimizer", optimizer)
        super().compile(optimizer=optimizer, **kwargs)
        self.optimizer.build(self.trainable_variables)  # So that checkpoints hold its slots from the start.

    def call(self, images, conditioning=None):
        """Returns the bits/dim of each image, [N], with the noise of the next evaluation batch."""
        pixels = self._pixels(images, self._evaluated_batches, 1)
        log_prob = image_log_prob(self.distribution, pixels, training=False, conditioning=conditioning)
        return bits_per_dim(log_prob, self.distribution.event_shape)

    def train_step(self, data):
        images, conditioning, weights = unpack(data)
        step = tf.cast(self.optimizer.iterations, tf.int64)
        context = tf.distribute.get_replica_context()
        variables = self.trainable_variables
        scaling = self.optimizer if isinstance(self.optimizer, tf_keras.mixed_precision.LossScaleOptimizer) else None
        with tf.GradientTape() as tape, health.recording() as record:
            pixels = self._pixels(images, step, 0)
            log_prob = image_log_prob(self.distribution, pixels, training=True, conditioning=conditioning)
            weighted = log_prob if weights is None else log_prob * tf.cast(weights, log_prob.dtype)
            objective = self._penalty() - tf.reduce_mean(weighted)
            share = objective / context.num_replicas_in_sync
            scaled = share if scaling is None else scaling.get_scaled_loss(share)
        warn_of_unseen(tape, variables)
        gradients = tape.gradient(scaled, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        if scaling is not None:
            gradients = scaling.get_unscaled_gradients(gradients)
        # The loss too: replicas that disagree on whether the step failed would part for ever.
        gradients, record.sums, share = sum_over_replicas([gradients, record.sums, share])
        # Keras' loss scaling tries scales until gradients are finite, and leaves out the steps in which they are not.
        excused = False if scaling is None else scaling.loss_scale > 1
        finite = self._failure.check(step, share, record, gradients, variables, excused)
        context.merge_call(self._apply, args=(finite, gradients))
        return self._update_metrics(objective, log_prob, weights)

    def _apply(self, strategy, finite, gradients):
        """One step of optimizer and averages, or none: gradients of 0 would not do, since momentum goes on.

        Called for all replicas together, as Keras' loss scaling does: within a replica, optimizers can't be called in
        a branch.
        """

        def apply(gradients):
            pairs = zip(gradients, self.trainable_variables, strict=True)
            self.optimizer.apply_gradients(pairs, skip_gradients_aggregation=True)
            if self.averages is not None:
                self.averages.update()

        def step():
            strategy.extended.call_for_each_replica(apply, args=(gradients,))
            return tf.zeros([])

        tf.cond(strategy.experimental_local_results(finite)[0], step, lambda: tf.zeros([]))

    def test_step(self, data):
        images, conditioning, weights = unpack(data)
        pixels = self._pixels(images, self._evaluated_batches, 1)
        log_prob = image_log_prob(self.distribution, pixels, training=False, conditioning=conditioning)
        self._evaluated_batches.assign_add(1)
        weighted = log_prob if weights is None else log_prob * tf.cast(weights, log_prob.dtype)
        return self._update_metrics(self._penalty() - tf.reduce_mean(weighted), log_prob, weights)

    def predict_step(self, data):
        images, conditioning, _ = unpack(data)
        result = self.call(images, conditioning)  # Not through __call__, which casts to the policy's compute dtype.
        self._evaluated_batches.assign_add(1)
        return result

    def fit(self, x=None, y=None, *args, validation_data=None, callbacks=None, **kwargs):
        """As in Keras; images are checked first, and a step that is not finite raises `FloatingPointError`."""
        check_images(self, "x", x, y)
        if hasattr(validation_data, "shape"):
            validation_data = (validation_data,)  # Keras would ask an array for its truth.
        if isinstance(validation_data, tuple) and validation_data:
            check_images(self, "validation_data", *validation_data[:2])
        elif validation_data is not None:
            check_images(self, "validation_data", validation_data)
        check_callbacks(callbacks, self)
        y = keep_weights(x, y, kwargs.get("sample_weight"))
        self._failure.reset()
        callbacks = health.stop_on_failure(self._failure, callbacks, self)
        return super().fit(x, y, *args, validation_data=validation_data, callbacks=callbacks, **kwargs)

    def evaluate(self, x=None, y=None, *args, **kwargs):
        """As in Keras, with the averaged weights if the model keeps any; the same noise every time."""
        check_images(self, "x", x, y)
        y = keep_weights(x, y, kwargs.get("sample_weight"))
        return self._with_averages(super().evaluate, x, y, *args, **kwargs)

    def predict(self, x, *args, draw=0, **kwargs):
        """Bits/dim of each image, [N], with the weights of `evaluate`; of arrays, `x` may be (images, conditioning).

        `draw`, a Python int, numbers draws of the noise; 0 is that of `evaluate`. Several of them give
        `importance_weighted_bits_per_dim`.
        """
        most = 2**31 - 1 if self.dequantize else 0
        check_int("draw", draw, 0, most, "which selects the noise; 0 for `dequantize=False`, which adds none")
        check_images(self, "x", *(x if isinstance(x, tuple) and len(x) == 2 else (x,)))
        return self._with_averages(super().predict, x, *args, draw=draw, **kwargs)

    @contextlib.contextmanager
    def evaluation_weights(self):
        """Within the block the distribution has the weights that `evaluate` uses: the averages, if there are any.

        Running statistics that were set in the block, as by `recalibrate`, stay with these weights.
        """
        with self.averages.swapped_in() if self.averages is not None else contextlib.nullcontext():
            yield

    def _with_averages(self, function, *args, draw=0, **kwargs):
        self._evaluated_batches.assign(draw * 2**31)  # The upper 32 bits of the seed made of it.
        with self.evaluation_weights():
            return function(*args, **kwargs)

    def _pixels(self, images, count, stream):
        """Images with the noise of the `count`-th batch; `stream` 0 is training, 1 evaluation."""
        images = tf.ensure_shape(images, [None, *self.distribution.event_shape])  # Unknown for generators.
        if not self.dequantize:
            return tf.cast(images, self.distribution.dtype)
        context = tf.distribute.get_replica_context()
        size, place = tf.shape(images)[0], {}
        if context.num_replicas_in_sync > 1:  # Each its rows of the global batch's noise.
            rows = context.num_replicas_in_sync * size
            place = {"first_row": context.replica_id_in_sync_group * size, "rows": rows}
        seed = tf.stack([tf.identity(self.seed), 2 * tf.identity(count) + stream])
        return tf.cast(dequantize(images, self.levels, seed=seed, **place), self.distribution.dtype)

    def _penalty(self):
        if not self._regularized:
            return tf.zeros([], self.distribution.dtype)
        return 2 * self.l2 * tf.add_n([tf.nn.l2_loss(v) for v in self._regularized])

    def _update_metrics(self, objective, log_prob, weights):
        self._loss.update_state(bits_per_dim(-objective, self.distribution.event_shape), tf.shape(log_prob)[0])
        self._bits_per_dim.update_state(bits_per_dim(log_prob, self.distribution.event_shape), weights)
        return {m.name: m.result() for m in self.metrics}
