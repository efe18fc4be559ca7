"""Keras callbacks for training: progress, log, checkpoints and sheets of samples, one job each."""

import csv
import pathlib
import signal
import sys
import time

import tensorflow as tf
import tf_keras

from examples import plots
from tfp_realnvp import quantize


class Progress(tf_keras.callbacks.Callback):
    """Prints bits/dim and the time left after each interval; on a terminal also a bar over the whole training."""

    def __init__(self, start, steps):
        super().__init__()
        self._start, self._steps = start, steps
        self._began = time.time()
        terminal = sys.stdout.isatty()
        self._bar = tf_keras.utils.Progbar(steps - start, stateful_metrics=["bits_per_dim"]) if terminal else None

    def on_train_batch_end(self, batch, logs=None):
        if self._bar is not None:
            self._bar.update(step_of(self.model) - self._start, [("bits_per_dim", logs["bits_per_dim"])])

    def on_epoch_end(self, epoch, logs=None):
        step = step_of(self.model)
        left = (time.time() - self._began) / (step - self._start) * (self._steps - step)
        print(
            f"{'' if self._bar is None else chr(10)}step {step}/{self._steps}: train {logs['bits_per_dim']:.3f}, held "
            f"out {logs['val_bits_per_dim']:.3f} bits/dim; {left / 60:.1f} min left",
            flush=True,
        )


class LossLog(tf_keras.callbacks.Callback):
    """Writes one CSV row per interval; rows after the step that training resumes from are dropped first."""

    FIELDS = ("step", "loss", "bits_per_dim", "val_loss", "val_bits_per_dim")

    def __init__(self, path, start):
        super().__init__()
        self._path = pathlib.Path(path)
        rows = []
        if self._path.exists():
            with self._path.open(newline="") as file:
                # A killed run may have left a row cut short; it is a later one, whatever step it shows.
                rows = [row for row in csv.DictReader(file) if all(row.values()) and int(row["step"]) <= start]
        with self._path.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.FIELDS)
            writer.writeheader()
            writer.writerows(rows)

    def on_epoch_end(self, epoch, logs=None):
        row = {"step": step_of(self.model)} | {k: logs[k] for k in self.FIELDS[1:]}
        with self._path.open("a", newline="") as file:
            csv.DictWriter(file, self.FIELDS).writerow(row)


class Checkpoints(tf_keras.callbacks.Callback):
    """Saves at the end of each interval, and on the first Ctrl-C or SIGTERM, which then ends training.

    An interval that was interrupted continues with the means that it had, because the checkpoint holds them too.
    """

    def __init__(self, manager):
        super().__init__()
        self._manager = manager
        self._clock = time.time()
        self._stopped_by = None
        self._interval_means = None

    def resume_interval(self):
        """Keeps the restored values of the metrics, which Keras is about to reset."""
        self._interval_means = [m.get_weights() for m in self.model.metrics]

    def save(self):
        """Saves a checkpoint of the current step; raises OSError, and keeps the one before, if that fails."""
        now = time.time()
        self._manager.checkpoint.seconds.assign_add(now - self._clock)
        self._clock = now
        try:
            self._manager.save(checkpoint_number=step_of(self.model))
        except (OSError, tf.errors.OpError) as error:
            raise OSError(
                f"no checkpoint could be written to {self._manager.directory} ({error}); free space there and run the "
                f"same command again, which resumes from {self._manager.latest_checkpoint}."
            ) from error

    def on_epoch_begin(self, epoch, logs=None):
        if self._interval_means is not None:
            for metric, weights in zip(self.model.metrics, self._interval_means, strict=True):
                metric.set_weights(weights)
            self._interval_means = None

    def on_train_begin(self, logs=None):
        self._previous = {s: signal.signal(s, self._on_signal) for s in (signal.SIGINT, signal.SIGTERM)}

    def on_train_end(self, logs=None):
        self.release_signals()

    def release_signals(self):
        """Restores the former handlers of the signals."""
        for number, handler in getattr(self, "_previous", {}).items():
            signal.signal(number, handler)
        self._previous = {}

    def _on_signal(self, number, frame):
        if self._stopped_by is not None:  # The second signal does not wait.
            self.release_signals()
            raise KeyboardInterrupt
        self._stopped_by = signal.Signals(number).name
        print(f"\n{self._stopped_by}: saving at the next step; send it again to stop at once", flush=True)

    def on_train_batch_end(self, batch, logs=None):
        if self._stopped_by is not None:
            self.save()
            raise KeyboardInterrupt

    def on_epoch_end(self, epoch, logs=None):
        self.save()
        if self._stopped_by is not None:
            raise KeyboardInterrupt


class SampleSheets(tf_keras.callbacks.Callback):
    """Writes a sheet of samples, always from the same latents, as PNG and for TensorBoard."""

    def __init__(self, directory, tensorboard, count=64, seed=0, conditioning=None):
        """Args: conditioning: float32 [count, K], that of the samples, or None."""
        super().__init__()
        self._directory = pathlib.Path(directory)
        self._writer = tf.summary.create_file_writer(str(tensorboard))
        self._count, self._seed = count, seed
        self._keywords = {} if conditioning is None else {"bijector_kwargs": {"conditioning": conditioning}}
        self._sample = None

    def write(self):
        """Draws and writes the sheet of the current step; returns its path."""
        model = self.model
        if self._sample is None:
            self._sample = tf.function(
                lambda: quantize(
                    model.distribution.sample(self._count, seed=[self._seed, 0], **self._keywords), model.levels
                )
            )
        with model.evaluation_weights():
            samples = self._sample().numpy()
        step = step_of(model)
        sheet = plots.image_sheet(samples, levels=model.levels)
        path = self._directory / f"samples_{step:07d}.png"
        plots.write_png(path, sheet)
        with self._writer.as_default():
            tf.summary.image("samples", sheet[None], step=step)
        self._writer.flush()
        return path

    def on_epoch_end(self, epoch, logs=None):
        self.write()


def step_of(model):
    """Returns how many training steps a model has taken."""
    return int(model.optimizer.iterations.numpy())
