"""The rules of the house: what each room of the package may import, lazily or not, and where Keras and files are."""

import ast
import graphlib
import pathlib

import pytest

import tfp_realnvp

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "tfp_realnvp"
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")

# A room is a folder or a module of the package; it may import itself and these.
MATHEMATICS = {"pixels", "likelihood", "latents", "keywords", "sampling"}
ROOMS = {
    "version": set(),
    "checks": set(),
    "keywords": {"checks"},
    "runtime": {"checks"},
    "bijectors": {"runtime", "checks", "keywords"},
    "networks": {"runtime", "checks", "keywords", "bijectors.masks"},
    "flows": {"bijectors", "networks", "checks"},
    "pixels": {"checks"},
    "sampling": {"keywords"},
    "likelihood": set(),
    "latents": {"checks", "bijectors"},
    "saving": {"version", "checks", "runtime", "bijectors", "networks", *MATHEMATICS},
    "training": {"checks", "runtime", "bijectors", "saving", *MATHEMATICS},
    "keras3": {"checks", "saving", "training"},
}
# Keras is in training, where a description of a layer is read, and where the policy is asked.
DESCRIPTIONS = {"saving.description", "saving.keras_objects", "saving.known_classes"}
MAY_IMPORT_KERAS = {"training", *DESCRIPTIONS, "flows.image_flow"}
MAY_USE_FILES = {"saving", "training.model_files", "training.callbacks", "keras3.flow_model"}


def module_name(path):
    """The name of a module within the package, e.g. "bijectors.masks"."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def imports(path):
    """Every module and name that the file imports, wherever in the file it does."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module if node.level == 0 else "." * node.level + (node.module or "")
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_in(name, rooms):
    return any(name == room or name.startswith(f"{room}.") for room in rooms)


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_a_room_imports_what_its_rule_says(path):
    room = module_name(path).split(".")[0]
    names = [name for name in imports(path) if name.split(".")[0] in ("tfp_realnvp", "")]
    # The package as a whole, and relative imports, would hide what is used.
    assert "tfp_realnvp" not in names
    assert not [name for name in names if name.startswith(".")]
    used = {name.removeprefix("tfp_realnvp.") for name in names}
    assert {name for name in used if not is_in(name, {room, *ROOMS[room]})} == set()


def test_every_room_has_a_rule():
    assert {module_name(path).split(".")[0] for path in FILES} == ROOMS.keys()


def test_imports_have_no_cycle():
    modules = {f"tfp_realnvp.{module_name(path)}": path for path in FILES}
    graph = {name: {used for used in imports(path) if used in modules} for name, path in modules.items()}
    order = list(graphlib.TopologicalSorter(graph).static_order())
    assert sorted(order) == sorted(modules)


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_the_mathematics_knows_neither_keras_nor_files(path):
    used = {name.split(".")[0] for name in imports(path)}
    assert "keras" not in used or is_in(module_name(path), {"keras3"})
    if not is_in(module_name(path), MAY_IMPORT_KERAS):
        assert "tf_keras" not in used
        assert "tf.keras" not in path.read_text().replace("`tf.keras`", "")
    if not is_in(module_name(path), MAY_USE_FILES):
        assert not used & {"os", "pathlib", "shutil", "tempfile", "json"}
        assert "open(" not in path.read_text()


def test_one_ambient_record():
    calls = [
        module_name(path)
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("ContextVar")
    ]
    assert calls == ["runtime.ambient"]


def test_every_room_of_the_package_has_its_tests():
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert {path.name for path in (ROOT / "tests").iterdir() if (path / "__init__.py").exists()} == {
        *folders,
        "examples",
    }


@pytest.mark.parametrize("path", sorted((ROOT / "examples").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_examples_use_public_names_only(path):
    used = [name for name in imports(path) if name.startswith("tfp_realnvp.")]
    assert all(name.split(".")[1] in tfp_realnvp.__all__ for name in used)
