"""A new run begins with the weights of another."""

import contextlib
import pathlib

import tensorflow as tf

from examples import checkpoints, exported_run
from examples import config as config_lib
from examples import run as run_lib
from examples.models import Form, build_model, check_distribution
from examples.settings import Settings, Source
from tfp_realnvp import FlowModel, load_flow

# Arguments of a flow that two runs may have differently, though one takes its weights from the other.
_FREE = ("momentum", "compute_dtype", "recompute_gradients")


def find(run, weights, directory):
    """Returns the `Source` that a new run's weights come from; None if `run` is None.

    A run that has begun keeps its source: the other run may have been trained on meanwhile, or be gone.

    Args:
      run: path of the other run's directory, or None.
      weights: "averaged" or "last".
      directory: path of the new run's directory.

    Raises:
      OSError, ValueError: if the other run can't be read.
    """
    if run is None:
        return None
    absolute = str(pathlib.Path(run).absolute())
    if (directory / run_lib.SETTINGS).exists():
        begun = Settings.read(directory / run_lib.SETTINGS).init_from
        if begun is not None and (begun.run, begun.weights) == (absolute, weights):
            return begun
    exported = exported_run.find(run)
    if exported is not None:
        if weights == "last":
            raise ValueError(f"`init_weights`=last: {run} is an export, of its averaged weights; leave it.")
        return Source(absolute, weights, exported.step)
    Settings.read(pathlib.Path(run) / run_lib.SETTINGS)
    newest = tf.train.latest_checkpoint(pathlib.Path(run) / "checkpoints")
    if newest is None:
        raise FileNotFoundError(f"`init_from`={run}: holds no checkpoint; name a run that was trained.")
    return Source(absolute, weights, checkpoints.step_of_path(newest))


def assign(model, source, config, form):
    """Gives the weights of another run to a new model, and begins its averages with them.

    Args:
      model: `FlowModel`.
      source: `Source`.
      config: `Config` of the model.
      form: `Form` of its images.

    Raises:
      OSError, ValueError: if the other run can't be read, or its weights don't fit.
    """
    directory = pathlib.Path(source.run)
    exported = exported_run.find(directory)
    settings = exported.settings if exported else Settings.read(directory / run_lib.SETTINGS)
    path = str(directory / "checkpoints" / f"step-{source.step}")
    try:
        identity = exported.identity if exported else checkpoints.identity_in(path)
        their_config = config_lib.from_values(settings.values)
        shape, conditioning = tuple(identity["image_shape"]), tuple(identity["conditioning"])
        their_form = Form(shape, identity["levels"], conditioning, form.whole)
        _check_fits(source.run, (their_config, their_form), (config, form))
        if exported:
            other = FlowModel(load_flow(directory), levels=form.levels)
            check_distribution(other.distribution, their_config.flow, their_form)
        else:
            other = build_model(their_config, their_form, settings.seed)
            tf.train.Checkpoint(model=other).restore(path).assert_existing_objects_matched().expect_partial()
        other.check_finite()
    except (*checkpoints.DAMAGE, AssertionError, KeyError, TypeError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error).strip().split("\n")[0]
        raise ValueError(
            f"`init_from`={source.run}: its weights of step {source.step} can't be used: {reason.rstrip('.')}. Name "
            "another run, or train this one further."
        ) from error
    with other.evaluation_weights() if source.weights == "averaged" else contextlib.nullcontext():
        for variable, value in zip(model.distribution.variables, other.distribution.variables, strict=True):
            variable.assign(tf.identity(value))
    if model.averages is not None:
        model.averages.restart()


def _check_fits(run, theirs, ours):
    """Raises ValueError unless the pairs (`Config`, `Form`) lead to the same function of the same variables."""
    kinds = [type(config.flow).__name__ for config, _ in (theirs, ours)]
    if len(set(kinds)) == 2:
        raise ValueError(f"its flow is a {kinds[0]}, that of this config a {kinds[1]}")
    there, here = ({**form._asdict(), **_arguments(config)} for config, form in (theirs, ours))
    differing = [f"{name} {there[name]!r} there, {here[name]!r} now" for name in there if there[name] != here[name]]
    if differing:
        raise ValueError(
            f"its flow is another ({'; '.join(differing)}): take data of the same form, and set --config.flow.NAME as "
            f"it is in {run}"
        )


def _arguments(config):
    """Returns the arguments of a flow that determine its variables and what they mean, by the names of their flags."""
    return {f"config.flow.{name}": value for name, value in config.values["flow"].items() if name not in _FREE}
