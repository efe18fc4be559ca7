"""Makes a figure of the paper, or of its web page, from a trained run.

    python -m examples.figures NAME --run=runs/digits [--out=DIR]

NAME is one of examples, samples, extrapolate, compress, manifold, dome, attributes, toy, gallery. It writes PNG files,
and beside them a JSON file that says what they show, to --out, by default the figures/ directory of the run. `toy`
needs no run; `gallery` makes one page of all figures that it finds in several --run.
"""

import pathlib

from absl import flags

from examples import command as command_lib
from examples import config_flag, experiment
from examples.figures import figure as figure_lib
from examples.figures import gallery, latent_space, samples, toy

FIGURES = {
    "examples": samples.examples,
    "samples": samples.samples,
    "extrapolate": samples.extrapolate,
    "compress": latent_space.compress,
    "manifold": latent_space.manifold_grid,
    "dome": latent_space.dome,
    "attributes": latent_space.attributes,
}

FLAGS = flags.FLAGS
config_flag.define_run(several="for gallery, several")
command_lib.define_path(
    "out", "Directory of the files. Default: figures/ of the run; for toy and gallery, toy/ and gallery/."
)
flags.DEFINE_integer("seed", 0, "Seed of the noise and of the choice of images.", lower_bound=0, upper_bound=2**31 - 1)
flags.DEFINE_float("temperature", 1.0, "Standard deviation of the latents that are drawn.", lower_bound=0.0)
flags.DEFINE_bool("batch_statistics", False, "Normalise in the networks by the statistics of the new pictures.")


def make(name, runs, directory=None):
    """Makes the figure `name`; returns its record and its directory.

    Raises:
      ValueError: if the name is unknown or the figure can't be made from these runs.
      ImportError, OSError, RuntimeError, TypeError, ValueError: see `experiment.open_run`.
    """
    if name not in (*FIGURES, "toy", "gallery"):
        raise ValueError(f"NAME={name!r}: must be one of {', '.join([*FIGURES, 'toy', 'gallery'])}.")
    if name == "toy":
        directory = pathlib.Path(directory or "toy")
        return toy.make(directory, seed=FLAGS.seed), directory
    if name == "gallery":
        directory = pathlib.Path(directory or "gallery")
        return gallery.make(runs, directory), directory
    if len(runs) != 1:
        raise ValueError(f"`run`={runs}: figure {name!r} is made from one run; name one, --run=DIR.")
    opened = experiment.open_run(runs[0], **config_flag.of_run())
    directory = pathlib.Path(directory or opened.run.directory / "figures")
    with opened.model.evaluation_weights():
        figure = figure_lib.Figure(name, opened, directory, FLAGS.seed, FLAGS.temperature, FLAGS.batch_statistics)
        FIGURES[name](figure)
    return figure.record(), directory


def main(argv):
    command_lib.begin(argv, 1, f"one NAME of {', '.join([*FIGURES, 'toy', 'gallery'])}")
    with command_lib.errors_in_one_line("stopped; the figure is not complete"):
        record, directory = make(argv[1], FLAGS.run, FLAGS.out)
    for picture in record["pictures"]:
        print(f"{directory / picture['file']}: {picture['alt']}")


if __name__ == "__main__":
    command_lib.run(main)
