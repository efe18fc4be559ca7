"""Builds the reference from the docstrings: `python -m sphinx -W --keep-going -b html .docs build/docs`."""

import inspect
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pathlib
import re
import shutil

from tfp_realnvp.version import __version__

HERE = pathlib.Path(__file__).parent
# What a `FlowModel` has for Keras or for its own parts.
_OF_KERAS = frozenset(
    "build_from_config call check_can_be_saved check_compiled check_description check_finite compile_from_config "
    "default_optimizer_class frozen_variables from_config get_config group_class layers_of_networks library "
    "load_own_variables load_with mean_class metrics steps_class update_step variable_groups".split()
)

project = "tfp_realnvp"
release = __version__
extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "myst_nb"]
html_theme = "furo"
html_title = f"{project} {release}"
html_show_copyright = False
html_copy_source = False
default_role = "py:obj"  # A name in single backquotes is a link where there is such an object, else code.
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # Docstrings give types as people say them.
autodoc_preserve_defaults = True
autoclass_content = "both"
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_custom_sections = [("Keywords", "params_style"), ("Signatures", "params_style")]
nb_execution_mode = "off"


def _copy_notebooks(app):
    """Sphinx reads below its own directory alone."""
    shutil.copytree(HERE.parent / "examples" / "notebooks", HERE / "notebooks", dirs_exist_ok=True)


def _signature(app, what, name, obj, options, signature, returns):
    """Classes of Keras have a `__new__` that takes anything."""
    if what != "class":
        return None
    parameters = list(inspect.signature(obj.__init__).parameters.values())[1:]
    stripped = [p.replace(annotation=p.empty) for p in parameters]
    return str(inspect.Signature(stripped)), None


def _of_this_package(app, what, name, obj, skip, options):
    """Leaves out what Keras, TFP and TensorFlow document themselves."""
    function = getattr(obj, "fget", obj)
    elsewhere = not str(getattr(function, "__module__", "tfp_realnvp")).startswith("tfp_realnvp")
    return skip or elsewhere or name in _OF_KERAS


def _as_restructured_text(app, what, name, obj, options, lines):
    """Docstrings are plain text: formulas are paragraphs that are indented, and `*` and `|` mean themselves."""
    result: list[str] = []
    for line in lines:
        before = next((text for text in reversed(result) if text.strip()), "")
        begins = result and not result[-1].strip() and line.startswith("    ") and not before.startswith("    ")
        if begins and not before.endswith("::"):
            result += ["::", ""]
        formula = line.startswith("    ") and (begins or "::" in result[-8:])
        result.append(line if formula else re.sub(r"\*\*(?=\w)|\|", lambda match: "\\" + "\\".join(match[0]), line))
    lines[:] = result


def setup(app):
    app.connect("builder-inited", _copy_notebooks)
    app.connect("autodoc-process-signature", _signature)
    app.connect("autodoc-skip-member", _of_this_package)
    app.connect("autodoc-process-docstring", _as_restructured_text, priority=100)  # Before napoleon.
