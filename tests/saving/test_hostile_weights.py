"""Weights that an attacker has changed read no other file, and take no memory that the file does not have."""

import io
import pathlib
import resource
import shutil
import zipfile

import h5py
import numpy as np
import pytest
import tensorflow as tf

from tests import models
from tfp_realnvp import load_flow


def _external(group, name, shape, secret):
    group.create_dataset(name, shape, "f4", external=[(str(secret), 0, 4 * int(np.prod(shape)))])


def _virtual(group, name, shape, secret):
    layout = h5py.VirtualLayout(shape, "f4")
    layout[...] = h5py.VirtualSource(str(secret), "secret", shape)
    group.create_virtual_dataset(name, layout)


def _never_written(group, name, shape, secret):
    group.create_dataset(name, (10**9,), "f4", chunks=(10**6,), fillvalue=1.0)


def _unallocated(group, name, shape, secret):
    group.create_dataset(name, (10**9,), "f4", fillvalue=1.0)


def _compressed(group, name, shape, secret):
    group.create_dataset(name, data=np.zeros((10**7,), "f4"), compression="gzip")


def _external_link(group, name, shape, secret):
    group[name] = h5py.ExternalLink(str(secret), "secret")


def _link_to_nothing(group, name, shape, secret):
    group[name] = h5py.SoftLink("/nothing")


def _text(group, name, shape, secret):
    group.create_dataset(name, data="text")


def _names(weights):
    found = []
    weights.visit(found.append)
    return [name for name in found if name.startswith(("variable_groups", "layers", "_layers"))]


@pytest.fixture(scope="module")
def kept(kind, tmp_path_factory):
    path = tmp_path_factory.mktemp("kept") / "model.keras"
    kind.compiled(models.normal()).save(path)
    return path


@pytest.mark.parametrize(
    "change",
    [_external, _virtual, _never_written, _unallocated, _compressed, _external_link, _link_to_nothing, _text],
)
def test_a_weights_file_with_arrays_of_other_files_is_refused(kind, change, kept, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(1024))
    path = tmp_path / "hostile.keras"
    with zipfile.ZipFile(kept) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith(".h5"):
                buffer = io.BytesIO(content)
                with h5py.File(buffer, "r+") as weights:
                    group = next(weights[found] for found in _names(weights) if found.endswith("/vars/0")).parent
                    shape = group["0"].shape
                    del group["0"]
                    change(group, "0", shape, secret)
                content = buffer.getvalue()
            new.writestr(name, content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=r"the weights file has (no array of its own|a link) at"):
        kind.load_model(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**19  # kB


def test_a_checkpoint_of_more_parts_is_refused(copied):
    variables = copied / "1" / "variables"
    shutil.copy(variables / "variables.index", variables / "variables.data-00001-of-00002")
    with pytest.raises(ValueError, match=r"variables is damaged .*is no part of it"):
        load_flow(copied)


def test_a_checkpoint_with_a_damaged_list_of_objects_is_refused(copied):
    prefix = str(copied / "1" / "variables" / "variables")
    reader = tf.train.load_checkpoint(prefix)
    names = sorted(reader.get_variable_to_shape_map())
    values = [b"\xff\xff" if "OBJECT_GRAPH" in name else reader.get_tensor(name) for name in names]
    for path in pathlib.Path(prefix).parent.iterdir():
        path.unlink()
    types = [tf.as_dtype(np.asarray(value).dtype) if not isinstance(value, bytes) else tf.string for value in values]
    slices = [""] * len(names)
    tf.raw_ops.SaveV2(
        prefix=prefix,
        tensor_names=names,
        shape_and_slices=slices,
        tensors=[tf.constant(value, dtype) for value, dtype in zip(values, types, strict=True)],
    )
    tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=[prefix], destination_prefix=prefix, delete_old_dirs=False)
    with pytest.raises(ValueError, match="variables is damaged"):
        load_flow(copied)


def test_a_large_description_is_refused(copied):
    path = copied / "1" / "flow.json"
    path.write_text(path.read_text() + " " * 2**24)
    with pytest.raises(ValueError, match="a description has at most 16,777,216"):
        load_flow(copied)
