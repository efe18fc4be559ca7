"""Writes small runs with figures, for the tests of the gallery."""

import json

import numpy as np

from examples import plots
from examples.figures import gallery
from tests.examples.result_files import RESULT

FRAMES, COLUMNS, SIDE = 5, 3, 26
HOSTILE = """"><script>window.hacked = 1</script><img src=x onerror="window.hacked = 1">' {{rows}} & ö\ud800"""


def sheet(value, height=SIDE, width=SIDE):
    return np.full((height, width, 3), value, np.uint8)


def write_figure(directory, name, *pictures, **fields):
    """Writes a record, and its pictures: (file, sheet, alt) or (file, sheet, alt, facts)."""
    listed = []
    for file, picture, alt, *facts in pictures:
        plots.write_png(directory / file, picture)
        listed.append({"file": file, "alt": alt, "size": [*picture.shape[1::-1]], **(facts[0] if facts else {})})
    record = {"figure": name, "pictures": listed, "config": "cifar10_small", "data": "cifar10 3.0.2 (TFDS)"}
    record |= {"step": 2250, "seed": 0, "temperature": 1.0, "batch_statistics": False}
    record |= {"training_command": "python -m examples.train --config=cifar10_small"}
    record |= {"command": f"python -m examples.figures {name} --run=/home/me/runs/cifar10_small --seed=3"}
    (directory / f"{name}.json").write_text(json.dumps(record | fields))


def write_dome(directory):
    frames = [sheet(40 * i) for i in range(FRAMES)]
    strip = plots.image_sheet(np.stack(frames), COLUMNS, min_side=1)
    facts = {"frames": FRAMES, "columns": COLUMNS}
    pictures = ("dome.png", frames[0], "a manifold"), ("dome_frames.png", strip, "a manifold, frame by frame", facts)
    write_figure(directory, "dome", *pictures)
    plots.write_animation(directory / "dome.webp", frames)
    record = json.loads((directory / "dome.json").read_text())
    record["pictures"].append({"file": "dome.webp", "alt": "a manifold, animated"})
    (directory / "dome.json").write_text(json.dumps(record))


def write_run(run, result=RESULT, without=()):
    figures = run / "figures"
    figures.mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 256, (700, 700, 3), np.uint8)
    for name in {"examples", "samples"} - set(without):
        write_figure(figures, name, (f"{name}.png", noise, f"64 {name}"))
    if "extrapolate" not in without:
        pictures = [(f"extrapolate_{s}x.png", noise[:s, :s], f"{s} times as large") for s in (20, 10)]
        pictures = [("extrapolate_2x.png", *pictures[0][1:]), pictures[1]]
        write_figure(figures, "extrapolate", *pictures)
    pictures = [(f"compress_{rest}.png", noise[:400, :100], f"compressed, {rest}") for rest in ("noise", "zeros")]
    write_figure(figures, "compress", *pictures)
    write_figure(figures, "manifold", ("manifold.png", noise[:90, :90], "manifold through four"))
    if "dome" not in without:
        write_dome(figures)
    if result:
        (run / "result_test.json").write_text(json.dumps(result))
    return run


def write_toy(directory):
    directory.mkdir()
    fields = {"data": "make_moons", "unit": "nats", "held_out_nats": -0.30512, "steps": 3000}
    write_figure(directory, "toy", ("toy.png", sheet(200, 300, 300), "two moons, four times"), **fields)
    return directory


def write_all(directory):
    """Writes two runs, one of them with everything, and a toy figure; returns their directories."""
    stand_in = RESULT | {"key": "celeb_a", "genuine": False, "bound": False, "conditional": True, "noise_draws": 4}
    celeba = write_run(directory / "celeba", stand_in | {"step": 9}, without=("dome", "extrapolate"))
    wide = ("attributes.png", sheet(90, 200, 500), "faces with other attributes")
    write_figure(celeba / "figures", "attributes", wide, temperature=0.7)
    return [write_run(directory / "cifar10_small"), celeba, write_toy(directory / "toy")]


def hostile_page(directory):
    """Makes the page of a run whose every text tries to be HTML; returns its directory."""
    run = write_run(directory / "a\"><b onclick='x'>", RESULT | {"config": HOSTILE, "data": HOSTILE, "key": HOSTILE})
    for record in (run / "figures").glob("*.json"):
        changed = json.loads(record.read_text()) | {"command": HOSTILE, "training_command": HOSTILE, "step": HOSTILE}
        for picture in changed["pictures"]:
            picture["alt"] = HOSTILE
        record.write_text(json.dumps(changed))
    gallery.make([run], directory / "page")
    return directory / "page"
