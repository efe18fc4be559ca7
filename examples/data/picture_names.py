"""What the names of pictures in a directory decide: which files are pictures, their classes and their splits."""

import hashlib
import itertools

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
# Which part of the range [0, 1) of a name's hash belongs to which split. A bound that moves would move pictures.
_STARTS = {"test": 0.0, "validation": 0.05, "train": 0.1}
SPLITS = {
    "train": "the rest",
    "validation": "the next 5 % of the hashes that names can have",
    "test": "the first 5 % of the hashes that names can have",
}


def find(path):
    """Returns the pictures below a directory, and how many other files there are.

    Args:
      path: `pathlib.Path` of the directory.

    Returns:
      names: list of str, paths of the pictures relative to `path`, sorted by their hashes.
      others: int, files that are hidden (their name, or that of a folder above them below `path`, starts with a dot),
        have another ending, or are links to nothing.

    Raises:
      ValueError: if there are fewer than 3 pictures, a name is no text, or folders are nested too deeply.
    """
    try:
        files = [f for f in path.rglob("*") if not f.is_dir()]
    except RecursionError as error:  # Up to Python 3.12, which calls itself for each level.
        raise ValueError(f"`path`={str(path)!r}: its directories are nested too deeply; move pictures up.") from error
    pictures = [f for f in files if f.suffix.lower() in SUFFIXES and not _is_hidden(f, path) and f.is_file()]
    if len(pictures) < 3:
        raise ValueError(
            f"`path`={str(path)!r}: holds {len(pictures)} pictures ({', '.join(SUFFIXES)}): must hold at least 3, to "
            "train, validate and test; add some."
        )
    for file in pictures:
        check_is_text(file.relative_to(path).as_posix(), f"picture {str(file)!r}")
    names = sorted((f.relative_to(path).as_posix() for f in pictures), key=lambda name: (_unit_hash(name), name))
    return names, len(files) - len(pictures)


def split_of(name):
    """Returns the split of a picture, which depends on nothing but its name."""
    return max((start, split) for split, start in _STARTS.items() if start <= _unit_hash(name))[1]


def by_split(path, names):
    """Returns a dict from each split to its names, in their order; raises ValueError if a split has none.

    The message has new names for as many pictures as it takes, since only the names decide: an empty split that was
    given a picture of another one would have to give it back when a picture of its own is added.
    """
    found = {split: [name for name in names if split_of(name) == split] for split in SPLITS}
    empty = [split for split in SPLITS if not found[split]]
    if empty:
        fullest = max(found.values(), key=len)  # With 3 pictures or more it can spare as many as are needed.
        moves = zip(fullest, empty, strict=False)
        renamed = (f"{name!r} to {_new_name(name, split)!r}" for name, split in moves)
        raise ValueError(
            f"`path`={str(path)!r}: none of its {len(names)} pictures is for {' or '.join(empty)}: each split must "
            "have one, and a hash of a picture's name alone selects its split, in 1 case of 20 validation and in 1 "
            f"test; add pictures, or rename {' and '.join(renamed)}."
        )
    return found


def classes(path, found):
    """Returns the classes of the pictures of a directory: the folders directly in it, sorted by name.

    Args:
      path: `pathlib.Path` of the directory.
      found: what `by_split` returns.

    Raises:
      ValueError: if a picture lies in no class, there is only one class, or a class has no picture for training or a
        name that is no text.
    """
    leave = "leave `conditional` out"
    names = [name for split in found.values() for name in split]
    outside = sorted(name for name in names if "/" not in name)
    if outside:
        raise ValueError(
            f"`conditional`=True: `path`={str(path)!r} itself holds {len(outside)} of {len(names)} pictures, such as "
            f"{outside[0]!r}: each must lie in a folder that is named as its class; move them there, or {leave}."
        )
    # A link is no folder whose pictures are found, but whoever made it takes it for a class, and must be told.
    folders = sorted(f.name for f in path.iterdir() if f.is_dir() and not _is_hidden(f, path))
    for folder in folders:
        check_is_text(folder, f"class {folder!r} in `path`={str(path)!r}")
    if len(folders) == 1:
        raise ValueError(
            f"`conditional`=True: `path`={str(path)!r} holds one class, {folders[0]!r}: there must be at least 2 "
            f"folders in it, each named as a class; name the directory that holds these, add one, or {leave}."
        )
    trained = {class_of(name) for name in found["train"]}
    empty = [folder for folder in folders if folder not in trained]
    if empty:
        num_pictures = sum(class_of(name) == empty[0] for name in names)
        raise ValueError(
            f"`conditional`=True: in `path`={str(path)!r}, {len(empty)} of {len(folders)} classes have no picture for "
            f"training; {empty[0]!r} has {num_pictures} in all: each class must have one (links to folders are not "
            f"followed); add pictures to its folder, remove it, or {leave}."
        )
    return tuple(folders)


def class_of(name):
    """Returns the class of a picture, which is the first folder of its name."""
    return name.partition("/")[0]


def check_is_text(name, what):
    """Raises ValueError for a name that is not UTF-8, which has no hash and can't be written to a result."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{what}: its name is not valid UTF-8; rename it.") from error


def _is_hidden(file, path):
    return any(part[0] == "." for part in file.relative_to(path).parts)


def _new_name(name, split):
    """Returns the first of name_2.png, name_3.png and so on that selects a split; if that is empty, nobody has it."""
    stem, _, suffix = name.rpartition(".")
    candidates = (f"{stem}_{i}.{suffix}" for i in itertools.count(2))
    return next(new for new in candidates if split_of(new) == split)


def _unit_hash(text):
    """Returns a float in [0, 1) that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48
