"""A check of Keras' weights files, whose format can name other files, and arrays that are not there."""

from typing import Any

import h5py

_MOST_OBJECTS = 2**17


def check_weights_file(store: Any) -> None:
    """Raises ValueError unless every array in a weights file lies in that file, whole, as Keras writes it.

    Args:
      store: what Keras gives to `load_own_variables`. For tf_keras a group of the file, or a dict if it has none; for
        Keras 3 an object with the file.
    """
    file = store.file if isinstance(store, h5py.Group) else getattr(store, "h5_file", None)
    if file is None:
        raise ValueError("the weights file is none of HDF5, or lacks the variables of the model itself; save it anew.")
    try:
        _check_file(file)
    except ValueError:
        file.close()  # Keras 3 would go on to the next layer, and raise the error at the end.
        raise


def _check_file(file: h5py.File) -> None:
    pending, seen = [file["/"]], 0
    while pending:
        group = pending.pop()
        for name in group:
            seen += 1
            if seen > _MOST_OBJECTS or not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ValueError(f"the weights file has a link at {group.name}/{name}: must hold arrays and groups.")
            entry = group[name]
            if isinstance(entry, h5py.Group):
                pending.append(entry)
            elif not _is_whole(entry):
                raise ValueError(f"the weights file has no array of its own at {entry.name}; save the model anew.")


def _is_whole(entry: Any) -> bool:
    """Whether this is an array of numbers that the file itself holds, in one piece."""
    if not isinstance(entry, h5py.Dataset) or entry.is_virtual or entry.external or entry.chunks is not None:
        return False
    return entry.dtype.kind in "biufV" and entry.id.get_storage_size() == entry.nbytes
