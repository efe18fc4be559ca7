"""Prints all results beside the paper's, as the README's Markdown table.

    python -m examples.results [DIR ...]

It reads every result_*.json at any depth below the directories; if none is named, below runs. Nothing here imports
TensorFlow, so that the table appears at once.
"""

import itertools
import json
import pathlib
import re
import sys
from typing import Any

from examples import command as command_lib
from examples import json_files
from examples import run as run_lib

# Data set key -> the name of the data set, and the paper's bits/dim: test (train).
PAPER = {
    "cifar10": ("CIFAR-10", "3.49"),
    "downsampled_imagenet/32x32": ("ImageNet 32x32", "4.28 (4.26)"),
    "downsampled_imagenet/64x64": ("ImageNet 64x64", "3.98 (3.75)"),
    "lsun/bedroom": ("LSUN bedroom", "2.72 (2.70)"),
    "lsun/tower": ("LSUN tower", "2.81 (2.78)"),
    "lsun/church_outdoor": ("LSUN church", "3.08 (2.94)"),
    "celeb_a": ("CelebA", "3.02 (2.97)"),
}
OTHERS = {k: (k.replace("_", " "), "-") for k in ("digits", "photo_patches", "mnist", "cifar100", "folder")}
COLUMNS = "data set (config, preset)|test bits/dim|train bits/dim|the paper: test (train)|trained on|evaluated|command"
NOT_RUN = "not run"
TEXTS = ("config", "key", "data", "split", "split_is", "preprocessing", "preset", "weights", "statistics")
COMMANDS = ("training_command", "command")
NUMBERS = {"bits_per_dim": (int, float), "standard_error": (int, float)}
FIELDS = {
    **dict.fromkeys((*TEXTS, *COMMANDS), str),
    **dict.fromkeys(("genuine", "bound", "conditional"), bool),
    **dict.fromkeys(("images", "noise_draws", "step", "images_seen"), int),
    **{**NUMBERS, "minutes": (int, float, type(None)), "training_flop": (int, float)},
    **{"importance_weighted": (dict, type(None)), "identity": dict},
}
SPLITS = ("test", "validation", "train")
RUN = ("config", "preset", "images_seen", "step", "identity", "directory", "weights", "statistics")
_ABSOLUTE = re.compile("""(?<=[= ])/.*?(?='?(?: '?--|$))""")  # It ends at the next flag, and may be quoted.
REMEDY = "evaluate the run anew, or delete the file"


def _check(path, values, fields, inside=""):
    for name, kind in fields.items():
        if name not in values:
            raise ValueError(f"{path}: lacks the field '{inside}{name}'; {REMEDY}.")
        if not isinstance(values[name], kind) or (name == "split" and values[name] not in SPLITS):
            rule = f"one of {', '.join(SPLITS)}" if name == "split" else "of another type"
            raise ValueError(f"{path}: the field '{inside}{name}'={values[name]!r} must be {rule}; {REMEDY}.")


def read(path: pathlib.Path) -> dict[str, Any]:
    """Returns the result in a file, with the file's `directory`; raises ValueError if the file holds no result."""
    try:
        result = json_files.read(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: can't be read as JSON ({error}); {REMEDY}.") from error
    if not isinstance(result, dict):
        raise ValueError(f"{path}: must hold one JSON object, not a {type(result).__name__}; {REMEDY}.")
    _check(path, result, FIELDS)
    if result["importance_weighted"] is not None:
        _check(path, result["importance_weighted"], {"samples": int, **NUMBERS}, "importance_weighted.")
    return {**result, "directory": str(path.parent)}


def find(directories) -> list[dict[str, Any]]:
    """Returns the results below the directories, one per file; raises ValueError for what it can't read."""
    paths = {}
    for directory in map(pathlib.Path, directories):
        if not directory.is_dir():
            raise ValueError(f"`DIR`={directory}: no such directory; name directories that hold result_*.json.")
        paths.update({path.resolve(): path for path in directory.rglob("result_*.json") if path.is_file()})
    return [read(path) for _, path in sorted(paths.items())]


def portable(command):
    """Returns a command with DIR for absolute paths, which say nothing on another machine."""
    return re.sub(_ABSOLUTE, "DIR", command)


def _number(value, result):
    """Returns bits/dim, its standard error, and marks of what sets it apart from the paper's."""
    marks = [" **subset or stand-in**"] * (not result["genuine"]) + [" **no bound**"] * (not result["bound"])
    marks += [" **validation split**"] * (result["split"] == "validation")
    return f"{value['bits_per_dim']:.3f} ± {value['standard_error']:.3f}{''.join(marks)}"


def _evaluated(result):
    draws = "1 noise draw" if result["noise_draws"] == 1 else f"{result['noise_draws']} noise draws"
    text = f"{result['split']}: {result['images']:,} images ({result['split_is']}), {draws}"
    for name, usual in {"preprocessing": "none", "weights": "averaged", "statistics": "running"}.items():
        text += f", {name}: {result[name]}" if result[name] != usual else ""
    bound = result["importance_weighted"]
    return text + (f"; importance-weighted, {bound['samples']} samples: {_number(bound, result)}" if bound else "")


def _run(result):
    return [
        json.dumps(run_lib.without_versions(result[name]), sort_keys=True) if name == "identity" else result[name]
        for name in RUN
    ]


def _lines(results):
    """Yields pairs (test result, train result) of one run and the same weights; one of a pair may be None.

    A run with several results of one split has as many pairs.
    """
    results = sorted(results, key=lambda r: (_run(r), SPLITS.index(r["split"]), json.dumps(r, sort_keys=True)))
    for run in [list(of_run) for _, of_run in itertools.groupby(results, _run)]:
        test, train = ([r for r in run if (r["split"] == "train") == is_train] for is_train in (False, True))
        yield from itertools.zip_longest(test, train)


def _comparable(line):
    """Whether the paper's number compares: bits/dim of other images, or given a label, are another quantity."""
    return all(result["genuine"] and not result["conditional"] for result in line if result)


def _row(name, paper, line):
    here = [result for result in line if result]
    first = here[0]
    minutes = [f", {result['minutes']:,.1f} min" for result in here if result["minutes"] is not None]
    commands = sorted({r[name] for r in here for name in COMMANDS}, key=lambda c: ("examples.train" not in c, c))
    return [
        f"{name} (`{first['config']}`, {first['preset']}{', conditional' if first['conditional'] else ''})",
        *(_number(result, result) if result else NOT_RUN for result in line),
        paper if paper == "-" or _comparable(line) else "not comparable",
        f"{first['images_seen']:,} images{''.join(minutes[:1])}, {first['training_flop']:.1e} FLOP",
        "<br>".join([*dict.fromkeys(result["data"] for result in here), *map(_evaluated, here)]),
        # An absolute path says nothing on another machine.
        "<br>".join(f"`{portable(command)}`" for command in commands),
    ]


def table(results) -> str:
    """Returns the results of `find` as a Markdown table: the paper's rows, run or not, then the other data sets."""
    keys = {result["key"] for result in results}
    rows = [COLUMNS.split("|"), ["---"] * 7]
    for key in [*PAPER, *(k for k in OTHERS if k in keys), *sorted(keys - PAPER.keys() - OTHERS.keys())]:
        name, paper = (PAPER | OTHERS).get(key, (key, "-"))
        lines = sorted(_lines(r for r in results if r["key"] == key), key=lambda line: not _comparable(line))
        if key in PAPER and not any(map(_comparable, lines)):
            # A stand-in does not count as a run of the paper's row.
            rows.append([name, NOT_RUN, NOT_RUN, paper, "-", "-", "-"])
        rows += [_row(name, paper, line) for line in lines]
    escaped = ([" ".join(cell.replace("|", "\\|").split()) for cell in row] for row in rows)
    return "\n".join(f"| {' | '.join(row)} |" for row in escaped)


def main(argv):
    try:
        results = find(argv[1:] or filter(pathlib.Path.is_dir, [pathlib.Path("runs")]))
    except ValueError as error:
        sys.exit(f"error: {error}")
    print(table(results))
    if not results:
        print(f"no result_*.json below {', '.join(argv[1:]) or 'runs'}: train first, or name a DIR.", file=sys.stderr)


if __name__ == "__main__":
    command_lib.run(main)
