"""The model card of an exported run: Markdown for whoever is sent the weights alone."""

import math
import pathlib
import shlex

from examples import evaluation, exporting, results
from examples import run as run_lib
from examples.models import count_parameters
from examples.versions import versions

CHECK = "check before use"
_CIFAR = (
    "The authors state no licence. The pictures are of the 80 Million Tiny Images, collected by web search and "
    f"withdrawn by their makers in 2020 for offensive content; their copyright is their owners': {CHECK}."
)
_IMAGENET = (
    "Terms of image-net.org: non-commercial research and education only; the pictures' copyright is their owners'."
)
_LSUN = f"We know of no stated licence; the pictures were collected by web search: {CHECK}."
# Data set key -> what is known of the terms of its pictures.
LICENCES = {
    "digits": "UCI, Optical Recognition of Handwritten Digits (E. Alpaydin, C. Kaynak): CC BY 4.0.",
    "photo_patches": (
        "china.jpg by danielbuechele and flower.jpg (flickr.com/photos/vultilion), both CC BY 2.0 according to the "
        "README.txt beside them in scikit-learn."
    ),
    "mnist": (
        "Y. LeCun and C. Cortes, from NIST's Special Databases 1 and 3. Keras' documentation says CC BY-SA 3.0; no "
        f"statement of the authors is known to us: {CHECK}."
    ),
    "cifar10": _CIFAR,
    "cifar100": _CIFAR,
    "downsampled_imagenet/32x32": _IMAGENET,
    "downsampled_imagenet/64x64": _IMAGENET,
    "lsun/bedroom": _LSUN,
    "lsun/church_outdoor": _LSUN,
    "lsun/tower": _LSUN,
    "celeb_a": (
        "The authors' agreement allows non-commercial research only. The pictures show faces of real people, found on "
        "the web: don't use them to tell or to judge who somebody is."
    ),
    "folder": f"Your own pictures: their terms are not known here; {CHECK}, and state them before you pass this on.",
}
UNKNOWN_LICENCE = f"Not known here: {CHECK}."


def model_card(opened, run, command):
    """Returns the card of an `Experiment`'s newest checkpoint, with its averaged weights if it keeps any.

    Args:
      opened: `Experiment`.
      run: str, the run's directory as the user named it, for the commands that the card shows.
      command: str, the command that exports the run.

    Raises:
      ValueError: if a result beside the run can't be read.
    """
    images = opened.images
    sections = {
        f"# {opened.config.flow.title} on {images.key}": _summary(opened),
        "## Data": _data(images),
        "## Model": _model(opened, command),
        "## Quality": _quality(opened, run),
        "## Licence of the data": f"{LICENCES.get(images.key, UNKNOWN_LICENCE)} Whether such terms extend to weights "
        "that were trained on the pictures is not answered here.",
        "## Intended use": _USE,
        "## Limits": _limits(opened),
    }
    return "\n\n".join(f"{title}\n\n{text}" for title, text in sections.items()) + "\n"


_USE = """\
The model is for research on densities of images and on compression: for samples, for latents and pictures between
pictures, and for scores of how likely an image is. It is not for decisions about people. It must not be the only test
of whether an image is out of distribution, because such images can have a higher likelihood than the training images
(Nalisnick et al. 2019, arXiv:1810.09136)."""


def _summary(opened):
    height, width, channels = opened.images.image_shape
    flow = opened.config.flow
    conditional = f" given {len(opened.images.conditioning_names)} numbers" * opened.conditional
    return (
        f"An exact density{conditional} over images of {height}x{width}x{channels}, of {opened.images.levels} values a "
        f"pixel, and samples of it: {flow.title}, {flow.reference}."
    )


def _data(images):
    facts = {"data": f"{images.name}{'' if images.genuine else ' **subset or stand-in**'}"}
    facts |= {
        split: f"{len(getattr(images, split)):,} images: {images.splits[split]}" for split in results.SPLITS[::-1]
    }
    facts["preprocessing"] = f"{images.preprocessing}; a request needs images that went through the same"
    if images.conditioning_names:
        facts["conditioning"] = f"in this order: {', '.join(images.conditioning_names)}"
    return _table(facts)


def _model(opened, command):
    config, settings = opened.config, opened.settings
    weights = "averaged" if config.averaging else "last"
    minutes = opened.seconds / 60
    facts = {
        "config": f"`{settings.name}`",
        "flow": _listed(config.values["flow"]),
        "parameters": f"{count_parameters(opened.model):,}",
        "weights": f"{weights}, of step {opened.step:,} of {config.steps:,}",
        "training": f"{opened.step * config.batch_size:,} images seen in batches of {config.batch_size}, "
        f"{minutes:,.1f} min, seed {settings.seed}",
        "values of the training": _listed({k: v for k, v in config.values.items() if k != "flow"}),
        "began with": _first_weights(settings.init_from),
        "trained by": f"`{results.portable(settings.command)}`",
        "exported by": f"`{results.portable(command)}`",
        "exported with": ", ".join(f"{name} {version}" for name, version in versions().items()),
    }
    return _table(facts)


def _listed(values):
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _first_weights(source):
    if source is None:
        return "random weights"
    return f"the {source.weights} weights of step {source.step:,} of another run, {pathlib.Path(source.run).name}"


def _quality(opened, run):
    rows, notes = [["split", "bits/dim", "importance-weighted", "images", "command"], ["---"] * 5], []
    for split in results.SPLITS:
        result, why = _result(opened, split)
        if result is None:
            remedy = shlex.join(["python", "-m", "examples.evaluate", f"--run={run}", f"--split={split}"])
            notes.append(f"- {split}: {why}; `{results.portable(remedy)}` evaluates these.")
            continue
        draws = f"{result['noise_draws']} noise draw{'s' * (result['noise_draws'] > 1)}"
        weighted = result["importance_weighted"]
        bound = f"{_number(weighted)}, {weighted['samples']} samples" if weighted else ""
        of_images = f"{result['images']:,} ({result['split_is']})"
        rows.append(
            [split, f"{_number(result)}, {draws}", bound, of_images, f"`{results.portable(result['command'])}`"]
        )
        if not evaluation.statistics_fit(result):
            notes.append(
                "- With the statistics of their batch, as in training, bits/dim of training images differs by "
                f"{result['training_mode_gap']:+.3f}: the running statistics don't fit the weights, and numbers and "
                "samples may mean nothing."
            )
    text = [] if len(rows) == 2 else [_rows(rows), "", "± is the standard error over images.", ""]
    if len(rows) > 2 and not opened.images.whole:
        notes.append("- Pixels are not whole numbers: these numbers bound no 8-bit code.")
    paper = results.PAPER.get(opened.images.key)
    if paper and len(rows) > 2 and opened.images.genuine and opened.images.whole and not opened.conditional:
        notes.append(f"- The paper has {paper[1]} on {paper[0]}, test (train), by a network of its own size.")
    return "\n".join([*text, *dict.fromkeys(notes)]).rstrip()


def _result(opened, split):
    """Returns a split's result, or None if it is not of the exported weights, and the reason why not."""
    path = opened.run.result(split)
    if not path.exists():
        return None, "these weights were not evaluated"
    result = results.read(path)
    if run_lib.without_versions(result["identity"]) != run_lib.without_versions(opened.run.identity):
        return None, f"these weights were not evaluated, {path.name} is of another run"
    if result["step"] != opened.step:
        return None, f"these weights were not evaluated, {path.name} is of step {result['step']:,}"
    if result["statistics"] != "running":
        return None, f"these weights were not evaluated, {path.name} has statistics {result['statistics']}"
    return result, ""


def _limits(opened):
    height, width, channels = opened.images.image_shape
    size = f"{height}x{width}x{channels}"
    asked = "shows beyond its class or attributes" if opened.conditional else "shows"
    most = exporting.MAX_VALUES // math.prod(opened.images.image_shape)
    return "\n".join(
        [
            "- bits/dim compares only with that of the same images after the same preprocessing, at the same size and "
            f"number of values a pixel. Other sizes than {size} are answered, but were not trained on.",
            f"- A request can't choose what a sample {asked}. Samples may repeat biases of the data and, where data "
            "are few, the training images.",
            f"- A request may have {exporting.MAX_VALUES:,} values, {most:,} images of {size}; memory grows with it, "
            "up to 1.8 kB a value for the paper's 64-pixel networks.",
            "- Noise is a function of the request's seed: the same request has the same answer, on one kind of device "
            "and one version of TensorFlow. Others round differently. One draw of the noise gives the bits/dim of an "
            "image only roughly; average over seeds.",
        ]
    )


def _number(value):
    return f"{value['bits_per_dim']:.3f} ± {value['standard_error']:.3f}"


def _table(facts):
    return _rows([["", ""], ["---"] * 2, *([name, text] for name, text in facts.items())])


def _rows(rows):
    escaped = ([" ".join(cell.replace("|", "\\|").split()) for cell in row] for row in rows)
    return "\n".join(f"| {' | '.join(row)} |" for row in escaped)
