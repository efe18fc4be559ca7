"""Keras callbacks for training that write files: checkpoints and sheets of samples."""

import contextlib
import os
import pathlib
import signal
import time

import tensorflow as tf
import tf_keras

from examples import plots
from examples.models import step_of
from examples.workers import ALONE


class Checkpoints(tf_keras.callbacks.Callback):
    """Saves when an interval of steps is over, before it is evaluated; and on the first signal to stop.

    Signals are Ctrl-C, SIGTERM and SIGHUP. Training ends at the next step, after it was saved; at once if nothing has
    changed since the last checkpoint, as while a graph is being built or an interval is evaluated; and at once on a
    second signal. An interval that was interrupted continues with the means that it had, because the checkpoint holds
    them too.

    Among several workers a signal to one ends all, after a step that they have taken together: see `StopVote`.
    """

    def __init__(self, manager, interval, steps, start, workers=ALONE):
        """Args: interval: steps from one evaluation to the next; steps: the last step; start: the step of the model."""
        super().__init__()
        self._workers, self._asked = workers, False
        self._manager, self._interval, self._steps = manager, interval, steps
        self._clock = time.time()
        self._stopped_by = None
        self._interrupted = False
        self._interval_means = None
        self._interval_start = start
        self._step = self._saved_step = start
        self._previous = {}

    @property
    def has_ended_interval(self):
        """Whether an interval was over at the checkpoint that was restored."""
        return bool(self._manager.checkpoint.interval[1])

    def resume_interval(self):
        """Keeps the restored means, which Keras is about to reset, if the interval that they are of is still open.

        It is not if the run has another number of steps or evaluations now.
        """
        began = int(self._manager.checkpoint.interval[0])
        if began == self._step - self._step % self._interval:
            self._interval_means = [m.get_weights() for m in self.model.metrics]
            self._interval_start = began

    def save(self):
        """Saves a checkpoint of the current step.

        Raises:
          FloatingPointError: if a weight is not finite; the checkpoint before is kept.
          OSError: if it can't be written; the checkpoint before is kept.
        """
        now = time.time()
        self._manager.checkpoint.seconds.assign_add(now - self._clock)
        self._clock = now
        self._manager.checkpoint.interval.assign([self._interval_start, self._ends_interval()])
        self.model.likelihood.stop_vote.reset()  # Who goes on from this checkpoint is not to stop.
        self._asked = False
        try:
            self.model.check_finite()
            self._manager.save(checkpoint_number=step_of(self.model))
        except ValueError as error:
            raise FloatingPointError(f"step {step_of(self.model)} was not saved: {error}") from error
        except (OSError, tf.errors.OpError) as error:
            raise OSError(
                f"no checkpoint could be written to {self._manager.directory} ({error}); free space there and run the "
                f"same command again, which resumes from {self._manager.latest_checkpoint}."
            ) from error
        self._saved_step = self._step
        self._ask_if_stopped()

    def _ends_interval(self):
        """Whether the current step is the last of an interval."""
        return self._step > 0 and (self._step % self._interval == 0 or self._step == self._steps)

    def on_epoch_begin(self, epoch, logs=None):
        if self._interval_means is not None:
            for metric, weights in zip(self.model.metrics, self._interval_means, strict=True):
                metric.set_weights(weights)
            self._interval_means = None
        else:
            self._interval_start = self._step

    def on_train_batch_end(self, batch, logs=None):
        self._step = step_of(self.model)
        stops = self._stops()
        if self._ends_interval() or stops:
            self.save()
        if stops:
            raise KeyboardInterrupt

    def _stops(self):
        """Whether training ends after this step; several workers all give the same answer."""
        if not self._workers.several:
            return self._stopped_by is not None
        vote = self.model.likelihood.stop_vote
        if vote.carried:
            return True
        self._ask_if_stopped()
        return False

    def _ask_if_stopped(self):
        """Asks all workers to stop after the next step, once."""
        if self._workers.several and self._stopped_by is not None and not self._asked:
            self.model.likelihood.stop_vote.ask()
            self._asked = True

    @contextlib.contextmanager
    def stopped_by_signals(self):
        """Within the block, signals stop the training as the class says."""
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)  # Not every system has all of them.
            # `nohup` and shells that start a program in the background have some ignored.
            if number is not None and signal.getsignal(number) != signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._on_signal)
        try:
            yield
        except Exception as error:
            if not self._interrupted:
                raise
            # It came at a moment at which TensorFlow or Keras made another error of it.
            raise KeyboardInterrupt from error
        finally:
            self._release_signals()

    def _release_signals(self):
        """Restores the former handlers of the signals."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    def _on_signal(self, number, frame):
        unchanged = self._step == self._saved_step and not self._workers.several
        if self._stopped_by is not None or unchanged:
            self._release_signals()
            self._interrupted = True
            raise KeyboardInterrupt
        self._stopped_by = signal.Signals(number).name
        # `print` may be what the signal has interrupted, and can't be entered twice.
        os.write(2, f"\n{self._stopped_by}: saving at the next step; send it again to stop at once\n".encode())


class SampleSheets(tf_keras.callbacks.Callback):
    """Writes a sheet of samples, always from the same latents, as PNG and for TensorBoard."""

    def __init__(self, directory, tensorboard, count=64, seed=0, conditioning=None):
        """Args: conditioning: float32 [count, K], that of the samples, or None."""
        super().__init__()
        self._directory = pathlib.Path(directory)
        self._writer = tf.summary.create_file_writer(str(tensorboard))
        self._options = {"n": count, "seed": (seed, 0), "conditioning": conditioning}

    def path(self, step):
        """Returns the path of the sheet of a step."""
        return self._directory / f"samples_{step:07d}.png"

    def write(self):
        """Draws and writes the sheet of the current step; returns its path."""
        model = self.model
        samples = model.sample(**self._options).numpy()
        step = step_of(model)
        sheet = plots.image_sheet(samples, levels=model.levels)
        path = self.path(step)
        plots.write_png(path, sheet)
        with self._writer.as_default():
            tf.summary.image("samples", sheet[None], step=step)
        self._writer.flush()
        return path

    def on_epoch_end(self, epoch, logs=None):
        self.write()
