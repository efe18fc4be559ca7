"""Runs the notebooks, and writes them anew as they are kept in git: `python -m tests.examples.notebooks [NAME ...]`.

Of outputs, pictures alone are kept: texts and counts would differ from run to run.
"""

import copy
import sys
import tempfile

import nbclient
import nbformat

from tests.examples.commands import ENVIRONMENT, ROOT
from tests.time_limits import HANG_SECONDS

FOLDER = ROOT / "examples" / "notebooks"
NAMES = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def read(name):
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def execute(notebook, folder):
    """Returns the notebook with its outputs; files that it writes go to `folder`.

    Raises:
      nbclient.exceptions.CellExecutionError: if a cell fails.
    """
    notebook = copy.deepcopy(notebook)
    resources = {"metadata": {"path": str(folder)}}
    client = nbclient.NotebookClient(notebook, timeout=HANG_SECONDS, kernel_name="python3", resources=resources)
    client.execute(env=ENVIRONMENT)
    return notebook


def kept(notebook):
    """Returns the notebook as it is kept in git."""
    notebook = copy.deepcopy(notebook)
    notebook.metadata = nbformat.from_dict(_METADATA)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02}"
        cell.metadata = nbformat.from_dict({})
        if cell.cell_type == "code":
            pictures = [output.data["image/png"] for output in cell.outputs if "image/png" in output.get("data", {})]
            cell.outputs = [nbformat.v4.new_output("display_data", {"image/png": p}) for p in pictures]
            cell.execution_count = None
    return notebook


def main(names):
    for name in names or NAMES:
        with tempfile.TemporaryDirectory() as folder:
            nbformat.write(kept(execute(read(name), folder)), FOLDER / f"{name}.ipynb")


if __name__ == "__main__":
    main(sys.argv[1:])
