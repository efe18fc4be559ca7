"""What a training does, from its newest checkpoint to its last step."""

import functools

from examples import callbacks as cb
from examples import data as data_lib
from examples import logs, plots, together
from examples.shared_evaluation import SharedEvaluation, Validation
from tfp_realnvp import quantize

_SHEET = 64  # pictures on a sheet


def segments(step, steps, interval):
    """Splits the steps from `step` to `steps` at multiples of `interval`.

    Yields (start, length, count): from step `start` on, `count` stretches of `length` steps each.
    """
    while step < steps:
        end = min(steps, (step // interval + 1) * interval)
        length = end - step
        count = max(1, (steps - step) // interval) if length == interval else 1
        yield step, length, count
        step += length * count


def train(opened, strategy):
    """Trains an `Experiment` from its newest checkpoint to the number of steps of its config.

    Among several workers, all train, save and evaluate, and the chief alone writes files and prints.
    """
    config, images, model, workers = opened.config, opened.images, opened.model, opened.workers
    start, seed = opened.step, opened.settings.seed
    first_batch = next(iter(data_lib.eval_batches(images.train, _SHEET, _SHEET)))
    pictures, conditioning = first_batch if opened.conditional else (first_batch, None)
    saver = cb.Checkpoints(opened.manager, config.interval, config.steps, start, workers)
    writers = _Writers(opened, saver, len(pictures), conditioning) if workers.is_chief else None
    callbacks = [saver] if writers is None else writers.callbacks
    validation, held_out = None, None
    if workers.several:
        what = images.validation, config.batch_size, config.validation_images
        validation = Validation(SharedEvaluation(model, workers), *what, callbacks)
    else:
        held_out = data_lib.eval_batches(images.validation, config.batch_size, config.validation_images)
    for callback in (validation, *callbacks):
        if callback is not None:
            callback.set_model(model)
    with saver.stopped_by_signals():
        if writers is not None:
            writers.write_data(pictures)
        if opened.manager.latest_checkpoint is None:
            # Workers put theirs together.
            own = slice(workers.index % _SHEET, None, len(workers.addresses))
            model.initialize_from_data(pictures[own], None if conditioning is None else conditioning[own])
            saver.save()
        ended = saver.has_ended_interval
        # The log is a file, which the chief alone has read.
        finish = writers is not None and ended and not writers.log.has_start
        if together.of_all(strategy, workers).chiefs(finish):
            _finish_interval(model, validation, held_out, callbacks)
        elif writers is not None and (ended or start == 0):
            writers.write_missing_sheet(start)
        if not ended and start > 0:
            saver.resume_interval()
        for begin, length, count in segments(start, config.steps, config.interval):
            make_batches = functools.partial(
                data_lib.train_batches, images.train, config.batch_size, seed=seed, start_step=begin, flip=config.flip
            )
            if strategy.num_replicas_in_sync > 1:
                batches = strategy.distribute_datasets_from_function(
                    lambda context, make=make_batches: make(input_context=context)
                )
            else:
                batches = make_batches()
            epoch = begin // config.interval
            model.fit(
                batches,
                initial_epoch=epoch,
                epochs=epoch + count,
                steps_per_epoch=length,
                validation_data=held_out,
                callbacks=callbacks if validation is None else [validation, *callbacks],
                verbose=0,
            )


class _Writers:
    """What writes the files of a run, but for the checkpoints, and prints."""

    def __init__(self, opened, saver, count, conditioning):
        """Args: saver: `Checkpoints`; count, conditioning: see `SampleSheets`."""
        run, config = opened.run, opened.config
        self._run, self._images = run, opened.images
        self._sheets = cb.SampleSheets(
            run.directory, run.tensorboard / "samples", count, opened.settings.seed, conditioning
        )
        self.log = logs.LossLog(run.log, opened.manager.checkpoint.log, opened.step)
        progress = logs.Progress(opened.step, config.steps, config.batch_size)
        tensorboard = logs.tensorboard(run.tensorboard, opened.settings)
        self.callbacks = [progress, self.log, saver, self._sheets, tensorboard]

    def write_data(self, pictures):
        """Writes a sheet of training images."""
        sheet = pictures if self._images.whole else quantize(pictures)
        path = self._run.directory / "data.png"
        plots.write_png(path, plots.image_sheet(sheet.numpy(), levels=self._images.levels))

    def write_missing_sheet(self, step):
        """Draws the sheet of the current step unless it is there."""
        if not self._sheets.path(step).exists():
            print(f"samples of step {step}: {self._sheets.write()}")


def _finish_interval(model, validation, held_out, callbacks):
    """Ends an interval whose last step was saved, but whose evaluation was interrupted.

    Args:
      model: `FlowModel`, whose metrics have the means of the interval.
      validation: `Validation`, or None for Keras' evaluation of `held_out`.
      held_out: dataset, as for `fit`.
      callbacks: list of those of `fit`.
    """
    means = {m.name: float(m.result()) for m in model.metrics}
    if validation is None:
        held_out_means = model.evaluate(held_out, return_dict=True, verbose=0)
        means |= {f"val_{name}": value for name, value in held_out_means.items()}
    else:
        means |= validation.means()
    for callback in callbacks:
        callback.on_epoch_end(None, means)  # They ask the model for its step.
