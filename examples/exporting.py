"""The distribution of a run on the disk, and what can be read from its SavedModel."""

import pathlib

from tensorflow.core.protobuf import saved_model_pb2

from examples import run as run_lib
from examples.exported_run import ExportedRun
from tfp_realnvp import save_flow

# A request of more values is refused, because an answer takes memory for each of them.
MAX_VALUES = 2**19


def export(opened, directory, card):
    """Saves the distribution with the weights that `examples.evaluate` evaluates, to serve and for `load_flow`.

    Returns the `pathlib.Path` of the new version; older ones stay.

    Args:
      opened: `Experiment`.
      directory: str or path, the directory of all versions.
      card: str, the text of the model card, or None.
    """
    options = {"levels": opened.images.levels, "max_values": MAX_VALUES, "model_card": card, "keep_old": True}
    with opened.model.evaluation_weights():
        folder = pathlib.Path(save_flow(opened.model.distribution, directory, **options))
    ExportedRun.of(opened).write(folder)
    return folder


def check_directory(directory):
    """Raises OSError or ValueError if the directory can't take an export; creates nothing."""
    if (directory / run_lib.SETTINGS).exists():
        raise ValueError(
            f"`directory`={directory}: is the directory of a run; name another, e.g. {directory / 'export'}."
        )
    nearest = next(d for d in (directory, *directory.absolute().parents) if d.exists())
    if not nearest.is_dir():
        raise NotADirectoryError(f"`directory`={directory}: {nearest} is a file; name a directory for the model.")
    run_lib.check_writable("directory", directory, nearest)


def signatures(folder):
    """Returns a dict from each signature of the SavedModel to its inputs, [those with a default] last, and outputs."""
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    found = {}
    for name, signature in saved.meta_graphs[0].signature_def.items():
        inputs = sorted(signature.inputs, key=lambda k: (k in signature.defaults, k))
        found[name] = [f"[{k}]" if k in signature.defaults else k for k in inputs], sorted(signature.outputs)
    return {name: entry for name, entry in sorted(found.items()) if not name.startswith("__")}


def sizes(folder, distribution):
    """Returns the bytes of all files in a folder, and the bytes of the distribution's variables."""
    on_disk = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return on_disk, sum(v.shape.num_elements() * v.dtype.size for v in distribution.variables)
