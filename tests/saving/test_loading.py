"""save_flow and load_flow: the same distribution bit for bit, or a message that names what is wrong."""

import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tests import models
from tests.zoo import ZOO
from tfp_realnvp import (
    AffineCoupling,
    Checkerboard,
    CouplingNetwork,
    FlowModel,
    PixelLogit,
    RealNVPImage,
    export_saved_model,
    load_flow,
    save_flow,
    version_folders,
)

tfb, tfd = tfp.bijectors, tfp.distributions
SHAPE = models.SHAPE


def _prior(dtype=tf.float32, shape=SHAPE):
    return tfd.Sample(tfd.Normal(tf.zeros([], dtype), 1.0), sample_shape=shape)


def _flow(**options):
    options = {"num_scales": 1, "width": 2, "residual_blocks": 0} | options
    prior = _prior(options.get("dtype", tf.float32))
    return tfd.TransformedDistribution(prior, RealNVPImage(1, **options))


def _learned_prior():
    mean = tf.Variable(tf.zeros(SHAPE), name="mean")
    scale = tfp.util.TransformedVariable(tf.ones(SHAPE), tfb.Softplus(), name="scale")
    prior = tfd.Independent(tfd.Normal(mean, scale), 3)
    return tfd.TransformedDistribution(prior, RealNVPImage(1, num_scales=1, width=2, residual_blocks=0), name="flow")


def _keras_conditioner():
    layer = tf_keras.layers.Conv2D(2, 3, padding="same", name="conv")
    layer.build([None, None, None, 1])
    return models.on_prior(tfb.Chain([PixelLogit(), AffineCoupling(Checkerboard(), layer, name="with_keras")]))


def _chain():
    network = CouplingNetwork(Checkerboard(1), 1, 2, 1, statistics={"momentum": 0.5}, compute_dtype=tf.float32)
    coupling = AffineCoupling(Checkerboard(1), network, shift_first=True, name="one")
    constant = tfb.Scale(tf.constant(np.full(SHAPE, 1.5, np.float32)))
    return models.on_prior(tfb.Chain([PixelLogit(), coupling, constant, tfb.Shift(np.float32(0.25))]))


DISTRIBUTIONS = {
    "released": lambda: _flow(num_scales=2),
    "paper": lambda: _flow(preset="paper", residual_blocks=1),
    "conditional": lambda: _flow(conditioning_size=3),
    "additive": lambda: _flow(additive=True, batch_norm=False),
    "float64": lambda: _flow(dtype=tf.float64),
    "bfloat16": lambda: _flow(compute_dtype=tf.bfloat16),
    "composition": lambda: models.on_prior(ZOO["composition"].make(tf.float32)),
    "chain": _chain,
    "keras_conditioner": _keras_conditioner,
    "learned_prior": _learned_prior,
    "no_bijector": models.normal,
}


def _move(distribution, by=0.1):
    """Off the start, which a new distribution has too."""
    for i, v in enumerate(distribution.variables):
        noise = tf.cast(tf.random.stateless_normal(v.shape, [i, 0]), v.dtype)
        v.assign(v * tf.exp(by * noise) if "variance" in v.name else v + by * noise)
    return distribution


def _answers(distribution):
    """Samples and likelihoods, as bytes."""
    keywords, pixels = {}, tf.constant(models.images(3) + 0.5, distribution.dtype)
    sizes = {getattr(part, "conditioning_size", None) for part in distribution.submodules}
    if 3 in sizes:
        keywords = {"bijector_kwargs": {"conditioning": tf.cast(tf.eye(3), distribution.dtype)}}
    sample = distribution.sample(3, seed=(1, 2), **keywords)
    return [sample.numpy().tobytes(), distribution.log_prob(pixels, **keywords).numpy().tobytes()]


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_loaded_is_what_was_saved(name, tmp_path):
    tf.random.set_seed(0)
    saved = _move(DISTRIBUTIONS[name]())
    save_flow(saved, tmp_path)
    loaded = load_flow(tmp_path)
    assert type(loaded) is type(saved)
    assert loaded.name == saved.name
    assert [(v.name, v.trainable, v.dtype, v.shape) for v in loaded.variables] == [
        (v.name, v.trainable, v.dtype, v.shape) for v in saved.variables
    ]
    models.assert_equal(models.values(loaded.variables), models.values(saved.variables))
    assert _answers(loaded) == _answers(saved)


def test_loaded_trains_on(tmp_path):
    saved = _move(_flow(), 0.01)
    save_flow(saved, tmp_path)
    loaded = load_flow(tmp_path)
    for distribution in (saved, loaded):
        model = FlowModel(distribution)
        model.compile()
        model.fit(models.images(16), batch_size=4, epochs=2, shuffle=False, verbose=0)
    models.assert_equal(models.values(loaded.variables), models.values(saved.variables))


def test_into_a_strategy_and_out_of_it(tmp_path):
    saved = _move(_flow())
    save_flow(saved, tmp_path)
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        loaded = load_flow(tmp_path)
    assert all(isinstance(v, tf.distribute.DistributedValues) for v in loaded.variables)
    models.assert_equal(models.values(loaded.variables), models.values(saved.variables))
    # And out of it.
    save_flow(loaded, tmp_path)
    models.assert_equal(models.values(load_flow(tmp_path).variables), models.values(saved.variables))


def test_the_configuration_is_readable(tmp_path):
    config = json.loads((pathlib.Path(save_flow(_flow(), tmp_path)) / "flow.json").read_text())
    flow = config["distribution"]["bijector"]
    assert flow["class"] == "tfp_realnvp.RealNVPImage"
    assert (flow["num_scales"], flow["preset"], flow["dtype"]) == (1, "released", {"class": "dtype", "name": "float32"})
    assert config["event_shape"] == [4, 4, 1]
    assert config["format"] == 1
    assert config["versions"]["tensorflow"] == tf.__version__


def test_it_is_an_export_too(tmp_path):
    distribution = _move(_flow())
    path = pathlib.Path(save_flow(distribution, tmp_path, levels=256, model_card="# A card"))
    images = models.images(2)
    model = tf.saved_model.load(str(path))
    answer = model.serving_default(images.astype(np.float32), dequantize=False)
    np.testing.assert_allclose(answer["log_prob"], distribution.log_prob(images.astype(np.float32)), rtol=1e-5)
    assert (path / "MODEL_CARD.md").read_text().startswith("# A card\n")


def test_a_second_save_takes_the_place_of_the_first(tmp_path):
    distribution = _flow()
    save_flow(distribution, tmp_path)
    _move(distribution)
    assert save_flow(distribution, tmp_path) == str(tmp_path / "2")
    assert [p.name for p in tmp_path.iterdir()] == ["2"]
    models.assert_equal(models.values(load_flow(tmp_path).variables), models.values(distribution.variables))


class _Mine(tfb.Bijector):
    def __init__(self, scale, name="mine"):
        parameters = dict(locals())
        self.scale = tf.Variable(scale, name="scale")
        super().__init__(forward_min_event_ndims=0, parameters=parameters, name=name)

    def _forward(self, x):
        return self.scale * x

    def _inverse(self, y):
        return y / self.scale

    def _inverse_log_det_jacobian(self, y):
        return -tf.math.log(self.scale)


def test_other_classes_are_told_of(tmp_path):
    saved = _move(models.on_prior(_Mine(2.0)))
    save_flow(saved, tmp_path)
    name = f"{__name__}._Mine"
    with pytest.raises(ValueError, match=f"class '{name}' is not known: pass `custom_objects`"):
        load_flow(tmp_path)
    loaded = load_flow(tmp_path, custom_objects={name: _Mine})
    assert _answers(loaded) == _answers(saved)


def _used_twice():
    network = CouplingNetwork(Checkerboard(), 1, 2, 0)
    return tfb.Chain([AffineCoupling(Checkerboard(), network), AffineCoupling(Checkerboard(), network)])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: AffineCoupling(Checkerboard(), lambda x: tf.concat([x, x], -1)),
            r"`distribution.bijector.conditioner`",
        ),
        (_used_twice, "a part that is used in two places"),
    ],
)
def test_what_cannot_be_loaded_is_not_saved(make, words, tmp_path):
    with pytest.raises((TypeError, ValueError), match=words):
        save_flow(models.on_prior(make()), tmp_path / "flow")
    assert not (tmp_path / "flow").exists()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    directory = tmp_path_factory.mktemp("saved")
    distribution = _move(_flow())
    save_flow(distribution, directory)
    return directory


@pytest.fixture
def copied(saved, tmp_path):
    shutil.copytree(saved, tmp_path / "flow")
    return tmp_path / "flow"


def _files(directory):
    return sorted(p for p in directory.rglob("*") if p.is_file())


def test_any_damaged_byte_is_found(copied):
    chosen = random.Random(0)
    for path in _files(copied):
        content = path.read_bytes()
        some = {0, len(content) - 1, *(chosen.randrange(len(content)) for _ in range(8))}
        for place in sorted(some) if len(content) > 3000 else range(0, len(content), 7):
            damaged = bytearray(content)
            damaged[place] ^= 1 << chosen.randrange(8)
            path.write_bytes(damaged)
            with pytest.raises(ValueError, match=r"damaged|missing|not listed") as raised:
                load_flow(copied)
            assert path.name in str(raised.value)
        for changed in (content[:-1], content + b"\n", b""):
            path.write_bytes(changed)
            with pytest.raises(ValueError, match=path.name.replace(".", r"\.")):
                load_flow(copied)
        path.unlink()
        with pytest.raises((FileNotFoundError, ValueError), match=rf"{path.name}.* is missing"):
            load_flow(copied)
        path.write_bytes(content)
    load_flow(copied)


def test_files_that_do_not_belong_are_named(copied):
    (copied / "1" / ".hidden").touch()
    load_flow(copied)
    (copied / "1" / "variables" / "more").touch()
    with pytest.raises(ValueError, match="variables/more is not listed"):
        load_flow(copied)


def _rewrite(directory, **changes):
    path = directory / "1" / "flow.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    (directory / "1" / "SHA256SUMS").unlink()
    version_folders._seal(directory / "1")


def test_another_version_is_named(copied):
    _rewrite(copied, format=2, versions={"tfp_realnvp": "9.0"})
    with pytest.raises(ValueError, match=r"format 2, by tfp_realnvp 9\.0; this is tfp_realnvp .* reads format 1"):
        load_flow(copied)


def test_weights_that_do_not_fit_are_named(copied):
    description = json.loads((copied / "1" / "flow.json").read_text())["distribution"]
    description["bijector"]["width"] = 3
    _rewrite(copied, distribution=description)
    with pytest.raises(ValueError, match="its weights don't fit"):
        load_flow(copied)


def test_nothing_to_load(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no saved flow"):
        load_flow(tmp_path)
    with pytest.raises(FileNotFoundError, match="holds no saved flow"):
        load_flow(tmp_path / "nowhere")
    export_saved_model(models.normal(), tmp_path)
    with pytest.raises(FileNotFoundError, match="exported for serving only"):
        load_flow(tmp_path)


@pytest.mark.parametrize("function", [save_flow, export_saved_model, lambda _, directory: load_flow(directory)])
def test_directories_that_are_none(function, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for wrong in (None, 3):
        with pytest.raises(TypeError, match=rf"`directory`={wrong}: must be a path"):
            function(models.normal(), wrong)
    with pytest.raises(ValueError, match="`directory`=gs://bucket/flow: must be on a file system of this machine"):
        function(models.normal(), "gs://bucket/flow")
    assert not list(tmp_path.iterdir())


def test_the_home_directory_is_known(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert save_flow(models.normal(), "~/flow") == str(tmp_path / "flow" / "1")
    load_flow("~/flow")
    load_flow(os.fsencode(tmp_path / "flow"))


def test_a_disk_that_is_full_before_or_on_the_way(copied, monkeypatch):
    before = {p: p.read_bytes() for p in _files(copied)}

    def full(*args, **kwargs):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(tf.saved_model, "save", full)
        with pytest.raises(OSError, match=r"`directory`=.*No space left.*is unchanged"):
            save_flow(_flow(), copied)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 0))
        with pytest.raises(OSError, match="has room for 0 bytes"):
            save_flow(_flow(), copied)
    assert {p: p.read_bytes() for p in _files(copied)} == before
    assert [p.name for p in copied.iterdir()] == ["1"]


# Writes a version and removes the older ones, as `save_flow` does, without TensorFlow, which takes seconds to import;
# kills itself before its Nth operation on the file system.
_WRITER = """
import importlib.util, os, pathlib, signal, sys, types
tensorflow = types.ModuleType("tensorflow")
tensorflow.errors = types.SimpleNamespace(OpError=ArithmeticError)
sys.modules["tensorflow"] = tensorflow
spec = importlib.util.spec_from_file_location("version_folders", sys.argv[1])
folders = importlib.util.module_from_spec(spec)
spec.loader.exec_module(folders)
directory, content, last = sys.argv[2], sys.argv[3], int(sys.argv[4])
operations = 0

def watch(event, arguments):
    global operations
    if event in ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.chmod", "shutil.rmtree"):
        operations += 1
        if operations == last:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(watch)
with folders.new_version(directory, 10) as folder:
    (folder / "inner").mkdir()
    for name in ("a", "inner/b"):
        (folder / name).write_text(content)
for old in folders.versions(directory)[:-1]:
    folders.remove(old)
print(operations)
"""


def _write(directory, content, last=-1):
    command = [sys.executable, "-c", _WRITER, version_folders.__file__, str(directory), content, str(last)]
    return subprocess.run(command, capture_output=True, text=True)


def _content(directory):
    folder = version_folders.versions(directory)[-1]
    version_folders.verify(folder)
    (content,) = {(folder / name).read_text() for name in ("a", "inner/b")}
    return content


def test_killed_at_any_operation_the_old_or_the_new_is_there(tmp_path):
    _write(tmp_path / "dry", "old")
    operations = int(_write(tmp_path / "dry", "new").stdout)
    assert operations > 20
    seen = []
    for last in range(1, operations + 1):
        directory = tmp_path / str(last)
        shutil.copytree(tmp_path / "dry", directory)
        assert _content(directory) == "new"
        assert _write(directory, "newer", last).returncode == -signal.SIGKILL
        seen.append(_content(directory))
        assert _write(directory, "newest").returncode == 0
        assert _content(directory) == "newest"
        assert len(list(directory.iterdir())) == 1
    assert set(seen) == {"new", "newer"}
    assert seen == sorted(seen)


_SAVER = """
import sys
from tests.saving import test_loading
from tfp_realnvp import save_flow
distribution = test_loading._flow()
while True:
    for v in distribution.variables:
        v.assign_add(v * 0 + 1)
    save_flow(distribution, sys.argv[1])
    print("saved", flush=True)
"""


@pytest.mark.slow
def test_killed_at_any_time_the_flow_loads(tmp_path):
    root = pathlib.Path(__file__).parents[2]
    chosen = random.Random(0)
    for _ in range(5):
        command = [sys.executable, "-c", _SAVER, str(tmp_path)]
        with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": "."}) as saver:
            saver.stdout.readline()
            time.sleep(chosen.uniform(0, 4))
            saver.kill()
        means = [v.numpy() for v in load_flow(tmp_path).variables if "mean" in v.name]  # 0, and 1 more at each saving.
        assert len({value for mean in means for value in mean}) == 1
        assert means[0][0] >= 1
