"""The table of `python -m examples.results` has one line for results of the same weights, and marks what is unusual."""

import re

import pytest

from examples import results as program
from tests.examples.commands import ROOT
from tests.examples.result_files import RESULT, write

TRAIN = {"split": "train", "split_is": "first 2,000 of 48,000: train[:48000]", "bits_per_dim": 3.75, "minutes": None}
TRAIN["command"] = "python -m examples.evaluate --config=cifar10_small --split=train"
WEIGHTED = {"samples": 16, "bits_per_dim": 3.7, "standard_error": 0.02}


def cells(directory, name=""):
    """The table's lines whose data set begins with `name`, each a list of its cells."""
    lines = program.table(program.find([directory])).split("\n")
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {8}
    rows = [line.removeprefix("| ").removesuffix(" |").split(" | ") for line in lines]
    return [row for row in rows[2:] if row[0].startswith(name)]


def test_not_run(tmp_path):
    assert cells(tmp_path) == [
        [name, "not run", "not run", paper, "-", "-", "-"]
        for name, paper in {
            "CIFAR-10": "3.49",
            "ImageNet 32x32": "4.28 (4.26)",
            "ImageNet 64x64": "3.98 (3.75)",
            "LSUN bedroom": "2.72 (2.70)",
            "LSUN tower": "2.81 (2.78)",
            "LSUN church": "3.08 (2.94)",
            "CelebA": "3.02 (2.97)",
        }.items()
    ]


def test_a_run(tmp_path):
    write(tmp_path / "runs" / "deep")
    assert cells(tmp_path)[0] == [
        "CIFAR-10 (`cifar10_small`, released)",
        "3.791 ± 0.013",
        "not run",
        "3.49",
        "144,000 images, 18.6 min, 5.9e+14 FLOP",
        "cifar10 3.0.2 (TFDS)<br>test: 2,000 images (first 2,000 of 10,000: test), 1 noise draw",
        "`python -m examples.train --config=cifar10_small`",
    ]
    assert [row[1] for row in cells(tmp_path)[1:]] == ["not run"] * 6


@pytest.mark.parametrize("key", [*program.PAPER, *program.OTHERS, "another"])
def test_every_row(tmp_path, key):
    write(tmp_path, key=key)
    rows = cells(tmp_path)
    assert len(rows) == 7 + (key not in program.PAPER)
    place, paper = (list(program.PAPER).index(key), program.PAPER[key][1]) if key in program.PAPER else (7, "-")
    assert [(i, row[3]) for i, row in enumerate(rows) if row[1] == "3.791 ± 0.013"] == [(place, paper)]


def test_order_of_rows(tmp_path):
    for number, key in enumerate(["zebras", "apes", "folder", "digits", "celeb_a"]):
        write(tmp_path, str(number), key=key)
    names = [row[0].split(" (")[0] for row in cells(tmp_path)]
    assert names[-5:] == ["CelebA", "digits", "folder", "apes", "zebras"]


def test_test_and_train_in_one_line(tmp_path):
    write(tmp_path)
    write(tmp_path, "train", **TRAIN)
    (row,) = cells(tmp_path, "CIFAR-10")
    assert row[1:3] == ["3.791 ± 0.013", "3.750 ± 0.013"]
    assert row[4] == "144,000 images, 18.6 min, 5.9e+14 FLOP"
    assert row[5].split("<br>")[2] == "train: 2,000 images (first 2,000 of 48,000: train[:48000]), 1 noise draw"
    assert row[6] == f"`{RESULT['command']}`<br>`{TRAIN['command']}`"


@pytest.mark.parametrize(
    "changes",
    [{"step": 9}, {"identity": {"seed": 1}}, {"weights": "last"}, {"statistics": "recalibrated on 9"}],
    ids=str,
)
def test_other_runs_and_weights_are_not_merged(tmp_path, changes):
    write(tmp_path)
    write(tmp_path, "train", **TRAIN | changes)
    assert sorted(row[1:3] for row in cells(tmp_path, "CIFAR-10")) == [
        ["3.791 ± 0.013", "not run"],
        ["not run", "3.750 ± 0.013"],
    ]


def test_other_directories_are_not_merged(tmp_path):
    write(tmp_path / "a")
    write(tmp_path / "b", **TRAIN)
    assert len(cells(tmp_path, "CIFAR-10")) == 2


def test_one_split_twice_takes_two_lines(tmp_path):
    write(tmp_path)
    write(tmp_path, "draws", noise_draws=4, bits_per_dim=3.79)
    write(tmp_path, "train", **TRAIN)
    rows = cells(tmp_path, "CIFAR-10")
    assert sorted(row[1] for row in rows) == ["3.790 ± 0.013", "3.791 ± 0.013"]
    assert sorted(row[2] for row in rows) == ["3.750 ± 0.013", "not run"]
    assert "4 noise draws" in str(rows)


def test_all_runs_of_a_config_in_an_order_of_their_own(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    changes = [{"images_seen": seen, "config": config} for config in ("a", "b") for seen in (900, 1000)]
    for number, change in enumerate(changes):
        write(one / str(number), **change)
        write(other / str(9 - number), **change)
    assert [(row[0][11:12], row[4][:5].strip(" i")) for row in cells(one, "CIFAR-10")] == [
        *(("a", "900"), ("a", "1,000"), ("b", "900"), ("b", "1,000"))
    ]
    assert cells(one) == cells(other)


def test_a_subset_is_no_run_of_the_papers_row(tmp_path):
    write(tmp_path, genuine=False, data="first 500 of cifar10", importance_weighted=WEIGHTED)
    missing, row = cells(tmp_path, "CIFAR-10")
    assert missing == ["CIFAR-10", "not run", "not run", "3.49", "-", "-", "-"]
    assert row[1] == "3.791 ± 0.013 **subset or stand-in**"
    assert row[3] == "not comparable"
    assert row[5].endswith("3.700 ± 0.020 **subset or stand-in**")
    write(tmp_path / "whole", config="z")
    assert [row[3] for row in cells(tmp_path, "CIFAR-10")] == ["3.49", "not comparable"]


def test_conditional(tmp_path):
    write(tmp_path, key="celeb_a", config="celeb_a_attributes", conditional=True)
    write(tmp_path / "plain", key="celeb_a", config="celeb_a")
    plain, conditional = cells(tmp_path, "CelebA")
    assert (plain[0], plain[3]) == ("CelebA (`celeb_a`, released)", "3.02 (2.97)")
    assert (conditional[0], conditional[3]) == (
        "CelebA (`celeb_a_attributes`, released, conditional)",
        "not comparable",
    )


def test_no_bound(tmp_path):
    write(tmp_path, key="celeb_a", bound=False)
    (row,) = cells(tmp_path, "CelebA")
    assert row[1] == "3.791 ± 0.013 **no bound**"


def test_validation_split(tmp_path):
    write(tmp_path, split="validation")
    assert cells(tmp_path)[0][1] == "3.791 ± 0.013 **validation split**"


def test_what_is_unusual_is_said(tmp_path):
    unusual = {"preprocessing": "centre crop 148", "statistics": "recalibrated on 512", "weights": "last"}
    write(tmp_path, importance_weighted=WEIGHTED, **unusual)
    assert cells(tmp_path)[0][5].endswith(
        ", 1 noise draw, preprocessing: centre crop 148, weights: last, statistics: recalibrated on 512"
        "; importance-weighted, 16 samples: 3.700 ± 0.020"
    )


def test_no_minutes(tmp_path):
    write(tmp_path, minutes=None)
    assert cells(tmp_path)[0][4] == "144,000 images, 5.9e+14 FLOP"


def test_bars_and_line_ends_are_escaped(tmp_path):
    write(tmp_path, key="folder", data="folder a|b\nc")
    assert cells(tmp_path)[-1][5].startswith("folder a\\|b c<br>")


def test_absolute_paths_are_left_out(tmp_path):
    command = "python -m examples.train --data_dir=/my data/x --run_dir /y --steps=4 --folder=a/b"
    write(tmp_path, command=command, training_command=command)
    assert cells(tmp_path)[0][6] == "`python -m examples.train --data_dir=DIR --run_dir DIR --steps=4 --folder=a/b`"


def test_numbers_of_the_readme():
    """All of them, and the table's text, come from the results that are published."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = re.search(r"<!-- results -->\n(.*?)<!-- end of results -->", readme, re.DOTALL)
    published = program.find([ROOT / "examples" / "published"])
    assert len(published) >= 5
    assert table.group(1).strip() == program.table(published)
    elsewhere = readme.replace(table.group(1), "")
    assert not re.findall(r"\d\.\d\d\d? (?:bits/dim|\+-|±)", elsewhere)
