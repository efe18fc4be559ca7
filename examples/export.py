"""Exports the weights of a trained run: for `load_flow`, TensorFlow Serving or TensorFlow alone, with a model card.

    python -m examples.export --run=runs/digits

It writes DIRECTORY/N, by default runs/digits/export/1, and N rises by one each time; TensorFlow Serving takes the
newest.
"""

import json
import pathlib
import shlex
import sys

from absl import flags

from examples import command as command_lib
from examples import config_flag, experiment, exporting, model_card

FLAGS = flags.FLAGS
config_flag.define_run()
command_lib.define_path("directory", "Directory of the versions of the model. Default: export/ of the run.")


def _export():
    """Exports what the flags name; returns a report for the terminal."""
    directory = pathlib.Path(FLAGS.directory or pathlib.Path(FLAGS.run) / "export")
    opened = experiment.open_run(FLAGS.run, **config_flag.of_run())
    exporting.check_directory(directory)
    command = f"python -m examples.export {shlex.join(sys.argv[1:])}"
    card = model_card.model_card(opened, FLAGS.run, command)
    print(
        f"{opened.images.key}: exporting the {'averaged' if opened.config.averaging else 'last'} weights of step "
        f"{opened.step} to {directory}; tracing takes up to a minute or so",
        flush=True,
    )
    folder = exporting.export(opened, directory, card)
    on_disk, of_variables = exporting.sizes(folder, opened.model.distribution)
    rows = [
        f"  {name:16} {', '.join(inputs):60} -> {', '.join(outputs)}".rstrip()
        for name, (inputs, outputs) in exporting.signatures(folder).items()
        if name != "units"  # It has an output for every entry of the others.
    ]
    conditioning = f", conditioning=tf.zeros([4, {len(opened.images.conditioning_names)}])" * opened.conditional
    # The model gets a name, because TensorFlow frees the variables of a model that nothing refers to.
    load = f"model = tf.saved_model.load({json.dumps(str(folder))})"
    condition = f", conditioning=[0.0] * {len(opened.images.conditioning_names)}" * opened.conditional
    again = f"from tfp_realnvp import FlowModel, load_flow; model = FlowModel(load_flow({json.dumps(str(directory))}))"
    again += f"; print(model.sample(4{condition}).shape)"
    ask = f'import tensorflow as tf; {load}; print(model.sample(count=4{conditioning})["pixels"].shape)'
    return "\n".join(
        [
            f"model:       {folder}: {on_disk / 1e6:,.1f} MB, of which variables {of_variables / 1e6:,.1f} MB",
            f"card:        {folder / 'MODEL_CARD.md'}",
            "signatures, [inputs] with a default:",
            *rows,
            f"ask it:      python -c {shlex.quote(ask)}",
            f"load it:     python -c {shlex.quote(again)}",
        ]
    )


def main(argv):
    command_lib.begin(argv)
    with command_lib.errors_in_one_line("stopped; nothing was exported"):
        report = _export()
    print(report)


if __name__ == "__main__":
    command_lib.run(main)
