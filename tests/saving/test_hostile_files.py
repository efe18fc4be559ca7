"""No file runs code, takes the memory of the machine, or fails in another way than one clear ValueError."""

import json
import os
import resource
import sys
import zipfile

import keras
import pytest
import tf_keras

from tests import models
from tests.saving import hostile_files
from tfp_realnvp import __version__, load_flow

MODULE = "hostile_module"


@pytest.fixture
def touched(tmp_path, monkeypatch):
    """The path of a file that exists after the test only if code of the attacker ran; the test fails if it does."""
    path = tmp_path / "touched"
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    (tmp_path / f"{MODULE}.py").write_text(f"open({str(path)!r}, 'w')\n\ndef relu(x):\n    open({str(path)!r}, 'w')\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield path
    assert not path.exists()
    assert MODULE not in sys.modules


@pytest.fixture(autouse=True)
def _little_memory():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**19  # kB


@pytest.fixture(scope="module")
def kept(kind, tmp_path_factory):
    """A file NAME.keras of a small model."""
    path = tmp_path_factory.mktemp("kept") / "model.keras"
    kind.compiled(models.normal()).save(path)
    return path


def _changed(kept, path, change):
    """A copy of a NAME.keras, whose configuration `change` has changed."""
    with zipfile.ZipFile(kept) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                config = json.loads(content)
                change(config)
                content = json.dumps(config).encode()
            new.writestr(name, content)
    return path


@pytest.mark.parametrize("name", hostile_files.DESCRIPTIONS)
def test_a_hostile_folder_is_refused(name, copied, touched):
    path = copied / "1" / "flow.json"
    content = json.loads(path.read_text()) | {"versions": {"tfp_realnvp": "9.9"}}
    path.write_text(json.dumps(content | {"distribution": hostile_files.DESCRIPTIONS[name](touched, MODULE)}))
    with pytest.raises(ValueError, match=rf"flow\.json: tfp_realnvp {__version__}, .* by tfp_realnvp 9\.9"):
        load_flow(copied)


@pytest.mark.parametrize("name", hostile_files.DESCRIPTIONS)
def test_a_hostile_model_is_refused(kind, name, kept, tmp_path, touched):
    description = hostile_files.DESCRIPTIONS[name](touched, MODULE)

    def change(config):
        config["config"] |= {"distribution": description, "versions": {"tfp_realnvp": "9.9"}}

    path = _changed(kept, tmp_path / "hostile.keras", change)
    with pytest.raises(ValueError, match=rf"of the file: tfp_realnvp {__version__}, .* by tfp_realnvp 9\.9"):
        kind.load_model(path)


@pytest.mark.parametrize("name", hostile_files.CONFIGS)
def test_a_damaged_model_is_refused(kind, name, kept, tmp_path):
    change = hostile_files.CONFIGS[name]
    path = _changed(kept, tmp_path / "hostile.keras", lambda config: config["config"].update(change))
    with pytest.raises(ValueError, match=rf"of the file: tfp_realnvp {__version__}"):
        kind.load_model(path)


@pytest.mark.parametrize("name", hostile_files.COMPILE_CONFIGS)
def test_a_hostile_compilation_is_refused(kind, name, kept, tmp_path, touched):
    change = hostile_files.COMPILE_CONFIGS[name]
    path = _changed(kept, tmp_path / "hostile.keras", lambda config: config["compile_config"].update(change))
    with pytest.raises(ValueError, match=r"`compile_config` of the file: .*load it with `compile=False`"):
        kind.load_model(path)
    assert type(kind.load_model(path, compile=False)) is kind.FlowModel


def test_a_shape_of_a_file_is_not_built(kind, kept, tmp_path):
    shape = {"input_shape": [10**6, 10**6, 10**6, 1]}
    path = _changed(kept, tmp_path / "hostile.keras", lambda config: config.update(build_config=shape))
    assert type(kind.load_model(path)) is kind.FlowModel


@pytest.mark.parametrize("name", hostile_files.FILES)
def test_a_malformed_description_is_refused(name, copied):
    (copied / "1" / "flow.json").write_bytes(hostile_files.FILES[name])
    with pytest.raises(ValueError, match=rf"(?s){copied}/1.*tfp_realnvp {__version__}"):
        load_flow(copied)


@pytest.mark.parametrize("name", ["flow.json", "variables/variables.index", "variables/variables.data-00000-of-00001"])
def test_what_is_no_file_is_refused(name, copied):
    path = copied / "1" / name
    path.unlink()
    for make in (os.mkfifo, os.mkdir):  # To read from a pipe would wait for ever.
        make(path)
        with pytest.raises((ValueError, FileNotFoundError), match="is missing"):
            load_flow(copied)
        (path.unlink if make is os.mkfifo else path.rmdir)()


def test_the_lists_name_what_exists():
    from tfp_realnvp.saving import keras_objects, known_classes

    listed = [(tf_keras, keras_objects.CLASSES), (keras, keras_objects.CLASSES_OF_KERAS_3)]
    for library, module, names in ((library, *item) for library, classes in listed for item in classes.items()):
        for name in names:
            described = {"module": module, "class_name": name, "config": {}, "registered_name": None}
            keras_objects.check_keras_object(described, keras=library)
            if ".src." not in module:
                namespace = library
                for part in module.split(".")[1:]:
                    namespace = getattr(namespace, part)
                assert isinstance(getattr(namespace, name), type)
    for prefix, names in (("tfd", known_classes._DISTRIBUTIONS), ("tfb", known_classes._BIJECTORS)):
        for name in names:
            assert known_classes.class_of(f"{prefix}.{name}", {}).__name__ == name
