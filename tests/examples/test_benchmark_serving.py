"""The benchmark of serving leaves the run as it was, and its figures agree with each other."""

import json
import re

import pytest

from tests.examples.commands import assert_refused, commands_of, contents, finished, paths

pytest.importorskip("sklearn")


def test_benchmark(run, tmp_path):
    before = contents(run), paths(run)
    arguments = [f"--run={run}", "--seconds=0.1", "--batch_size=3", f"--json={tmp_path / 'figures.json'}"]
    with commands_of("benchmark_serving") as benchmark:
        printed = finished(benchmark(*arguments, setup="patch.setattr(program, '_STARTS', 1)"))
        assert_refused(benchmark("--run=absent"), "`run`=absent: no run of examples.train")
    assert (contents(run), paths(run)) == before
    figures = json.loads((tmp_path / "figures.json").read_text())
    begins, size = figures["seconds_to_start"], figures["bytes"]
    stages = sum(begins[stage] for stage in ("import tensorflow", "load", "first answer"))
    assert begins["total"] == pytest.approx(stages)
    assert size["on_disk"] > size["of_variables"] > 0
    for speed in figures["images_per_second"].values():
        assert speed["ratio"] > 0
        assert speed["turns"] >= 5
    assert re.search(r"\nserving_default +[0-9,.]+ +[0-9,.]+ +[0-9.]+\nsample ", printed)
