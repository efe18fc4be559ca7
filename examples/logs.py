"""What a training tells, as Keras callbacks: progress on the terminal, log.csv, and TensorBoard."""

import math
import sys
import time

import tensorflow as tf
import tf_keras

from examples import run as run_lib
from examples.data.image_data import import_extra
from examples.models import step_of


class Progress(tf_keras.callbacks.Callback):
    """Prints bits/dim, speed and the time left after each interval; on a terminal also a bar over the whole training.

    The speed of training, images/s without evaluations and sheets, becomes `images_per_second` in the logs of the
    interval, for the callbacks after this one.
    """

    def __init__(self, start, steps, batch_size):
        """Args: start: the step that training resumes from; steps: the last step; batch_size: images in a step."""
        super().__init__()
        self._start, self._steps, self._batch_size = start, steps, batch_size
        self._began = time.time()
        self._first_of_interval = self._interval_began = None
        self._training_seconds = 0.0
        terminal = sys.stdout.isatty()
        self._bar = tf_keras.utils.Progbar(steps - start, stateful_metrics=["bits_per_dim"]) if terminal else None

    def on_epoch_begin(self, epoch, logs=None):
        self._first_of_interval, self._interval_began = step_of(self.model), time.time()

    def on_train_batch_end(self, batch, logs=None):
        if self._bar is not None:
            self._bar.update(step_of(self.model) - self._start, [("bits_per_dim", logs["bits_per_dim"])])

    def on_test_begin(self, logs=None):
        if self._interval_began is not None:
            self._training_seconds = time.time() - self._interval_began

    def on_epoch_end(self, epoch, logs=None):
        step = step_of(self.model)
        line = f"step {step}/{self._steps}: train {logs['bits_per_dim']:.3f}, held out {logs['val_bits_per_dim']:.3f}"
        line = f"{'' if self._bar is None else chr(10)}{line} bits/dim"
        if self._interval_began is not None:  # Otherwise an interval is ended that another process has trained.
            seen = (step - self._first_of_interval) * self._batch_size
            logs["images_per_second"] = seen / self._training_seconds
            line += f"; {logs['images_per_second']:,.0f} images/s"
        if step > self._start:
            minutes = (time.time() - self._began) / (step - self._start) * (self._steps - step) / 60
            line += f"; {minutes:.1f} min left"
        print(line, flush=True)


class LossLog(tf_keras.callbacks.Callback):
    """Writes one CSV row per interval.

    The checkpoints hold the rows before theirs, so that a log which is damaged or lost is written again. The row of a
    checkpoint's own step is made after it; if the log does not have it, the interval is to be ended once more.
    """

    FIELDS = ("step", "loss", "bits_per_dim", "val_loss", "val_bits_per_dim")

    def __init__(self, path, saved, start):
        """Writes the log as it was at step `start`.

        Args:
          path: `pathlib.Path` of the log.
          saved: string variable of a checkpoint, the rows.
          start: the step that training resumes from.
        """
        super().__init__()
        self._path, self._saved = path, saved
        self._rows = [row for row in saved.numpy().decode().splitlines() if _step_of_row(row) < start]
        own = [row for row in _lines(path) if _step_of_row(row) == start]
        self.has_start = bool(own)
        self._write(own[:1])

    def on_epoch_end(self, epoch, logs=None):
        self._write([",".join([str(step_of(self.model)), *(repr(float(logs[name])) for name in self.FIELDS[1:])])])

    def _write(self, rows):
        self._rows += rows
        text = "".join(f"{row}\n" for row in self._rows)
        self._saved.assign(text)
        run_lib.write(self._path, f"{','.join(self.FIELDS)}\n{text}")


def _lines(path):
    """Returns the lines of a log, none if it can't be read."""
    return path.read_bytes().decode(errors="replace").splitlines() if path.is_file() else []


def _step_of_row(row):
    """Returns the step of a row, -1 for the head and for a line that is no whole row."""
    step, *values = row.split(",")
    try:
        whole = len(values) == len(LossLog.FIELDS) - 1 and all(math.isfinite(float(value)) for value in values)
        return int(step) if whole else -1
    except ValueError:
        return -1


class _TensorBoard(tf_keras.callbacks.TensorBoard):
    """Writes at the number of the step instead of that of the interval, which changes when a run is trained longer."""

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(step_of(self.model), logs)


def tensorboard(directory, settings):
    """Returns the callback for TensorBoard, after it has written the hyperparameters of a run.

    After each interval it writes loss and bits/dim of training and of held-out images, norm of the gradients, images/s
    and learning rate.

    Args:
      directory: path of the files.
      settings: `Settings`.
    """
    hparams = import_extra("tensorboard.plugins.hparams.api")
    flow = {f"flow.{name}": value for name, value in settings.values["flow"].items()}
    others = {name: value for name, value in settings.values.items() if name != "flow"}
    values = {**others, **flow, "config": settings.config, "seed": settings.seed}
    with tf.summary.create_file_writer(str(directory)).as_default():
        # It takes numbers, truth values and texts.
        hparams.hparams({k: v if isinstance(v, int | float | str) else str(v) for k, v in values.items()})
        metric = hparams.Metric("epoch_bits_per_dim", group="validation", display_name="held-out bits/dim")
        hparams.hparams_config(hparams=[hparams.HParam(name) for name in values], metrics=[metric])
    return _TensorBoard(str(directory), write_graph=False)
