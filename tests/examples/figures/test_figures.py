"""`python -m examples.figures` makes pictures that show what they say. The run behind them is hardly trained."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from examples import config as config_lib
from examples import experiment
from examples.figures import figure as figure_lib
from examples.figures import latent_space, samples
from tests.examples.commands import assert_nothing_done
from tests.examples.training_runs import run_here

pytest.importorskip("sklearn")
pytest.importorskip("PIL")

PROGRAM = "figures.__main__"
PITCH = 66  # pixels from one digit of a sheet to the next


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """A conditional flow of two scales over digits after a few steps."""
    flow = config_lib.Flow(num_scales=2, width=4, residual_blocks=0)
    small = dataclasses.replace(config_lib.get("digits"), flow=flow, steps=4, evaluations=1)
    directory = tmp_path_factory.mktemp("figures") / "run"
    run_here(small, f"--run_dir={directory}", "--conditional")
    return experiment.open_run(directory)


@pytest.fixture
def figure(opened, tmp_path):
    return lambda name, **options: figure_lib.Figure(name, opened, tmp_path / "out", **options)


def picture(figure, file):
    return tf.io.decode_png((figure.directory / file).read_bytes()).numpy()


def tile(sheet, row, column, top=0):
    """The digit at a place of a sheet, grey 8x8."""
    part = sheet[top + row * PITCH : top + row * PITCH + 64, column * PITCH : column * PITCH + 64]
    return part[4::8, 4::8, 0]


def shown(pixels):
    """How a sheet shows digits of 17 levels."""
    return (pixels[..., 0].astype(int) * 255 * 2 + 16) // 32


def close(a, b):
    """Equal pictures, but for pixels that rounding took over the border of a level."""
    difference = np.abs(a.astype(int) - b)
    return difference.max() <= 16 and (difference > 0).mean() < 0.02


def test_decode_gives_back_what_was_encoded(figure):
    f = figure("x")
    pixels, conditioning = f.examples(20)
    latents = f.encode(pixels, conditioning)
    assert latents.shape == pixels.shape
    back = f.decode(latents, conditioning)
    assert back.dtype == np.uint8
    assert close(shown(back), shown(pixels))


def test_examples_and_samples(figure):
    f = figure("examples")
    samples.examples(f)
    pixels, _ = f.examples(64)
    sheet = picture(f, "examples.png")
    np.testing.assert_array_equal(tile(sheet, 3, 5), shown(pixels)[29])
    first, again, other, cold = (figure("samples", **o) for o in ({}, {}, {"seed": 1}, {"temperature": 0.0}))
    drawn = []
    for f in (first, again, other, cold):
        samples.samples(f)
        drawn.append(picture(f, "samples.png"))
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0] != drawn[2]).mean() > 0.1
    _, labels = cold.examples(64)  # Without noise a sample is a function of its class.
    digits = labels.argmax(1)
    same = np.flatnonzero(digits == digits[0])[:2]
    np.testing.assert_array_equal(*(tile(drawn[3], *divmod(i, 8)) for i in same))
    both = picture(first, "samples_beside_examples.png")
    assert both.shape == (526, 2 * 526 + 16, 3)


def test_larger_samples(figure, opened):
    f = figure("extrapolate")
    samples.extrapolate(f)
    record = f.record()
    assert [p["scale"] for p in record["pictures"]] == [2, 10]
    assert picture(f, "extrapolate_2x.png").shape == (4 * 130 - 2, 4 * 130 - 2, 3)
    assert picture(f, "extrapolate_10x.png").shape == (640, 640, 3)
    whole = f.latents(1, 10)
    assert whole.shape == (1, 80, 80, 1)
    batch = figure("extrapolate", batch_statistics=True)
    conditioning = f.conditioning(1)
    assert (batch.decode(whole, conditioning) != f.decode(whole, conditioning)).any()


def test_compression(figure):
    f = figure("compress")
    latent_space.compress(f)
    pixels, _ = f.examples(10)
    noise, zeros = (picture(f, f"compress_{kind}.png") for kind in ("noise", "zeros"))
    for sheet in (noise, zeros):
        # There are titles, and columns of 100 % and 50 %.
        assert sheet.shape == (26 + 10 * PITCH - 2, 2 * PITCH - 2, 3)
        for row in range(10):
            assert close(tile(sheet, row, 0, top=26), shown(pixels)[row])
            assert (tile(sheet, row, 1, top=26) != shown(pixels)[row]).any()
    assert (noise != zeros).any()
    assert f.record()["pictures"][0]["kept"] == [1.0, 0.5]


def test_manifold(figure):
    f = figure("manifold")
    latent_space.manifold_grid(f)
    pixels, _ = f.examples(4)
    sheet = picture(f, "manifold.png")
    assert sheet.shape == (8 * PITCH - 2, 8 * PITCH - 2, 3)
    red = {(i, j) for i in range(8) for j in range(8) if tuple(sheet[i * PITCH, j * PITCH]) == (255, 0, 0)}
    # Here one product of cosines and sines is 1: each original is there twice, on opposite sides of the sphere.
    originals = {(0, 0): 0, (4, 4): 0, (0, 2): 1, (4, 6): 1, (2, 0): 2, (6, 4): 2, (2, 2): 3, (6, 6): 3}
    assert red == set(originals)
    for (i, j), which in originals.items():
        assert close(tile(sheet, i, j)[1:-1, 1:-1], shown(pixels)[which][1:-1, 1:-1])


def test_dome(figure):
    f = figure("dome")
    latent_space.dome(f)
    strip, animation = f.record()["pictures"][1:]
    assert (strip["frames"], strip["columns"]) == (40, 7)
    frames = picture(f, strip["file"])
    side = 8 * 34 - 2
    assert frames.shape == (6 * (side + 2) - 2, 7 * (side + 2) - 2, 3)
    first, second = frames[:side, :side], frames[:side, side + 2 : 2 * side + 2]
    np.testing.assert_array_equal(first, picture(f, "dome.png"))
    assert (first != second).any()
    from PIL import Image

    with Image.open(f.directory / animation["file"]) as moving:
        assert (moving.n_frames, moving.size) == (40, (side, side))


def test_attributes(figure):
    f = figure("attributes")
    latent_space.attributes(f)
    pixels, _ = f.examples(8)
    (record,) = f.record()["pictures"]
    assert record["columns"] == ["original", "decoded", *"0123456789"]
    sheet = picture(f, "attributes.png")
    for row in range(8):
        np.testing.assert_array_equal(tile(sheet, row, 0, top=26), shown(pixels)[row])
        assert close(tile(sheet, row, 1, top=26), shown(pixels)[row])


def test_record(figure, opened):
    f = figure("examples", seed=3)
    samples.examples(f)
    written = f.record()
    assert json.loads((f.directory / "examples.json").read_text()) == written
    assert written["command"].startswith("python -m examples.figures")
    assert (written["step"], written["seed"], written["config"]) == (4, 3, "digits")
    assert written["run"] == str(opened.run.directory)
    assert written["data"].startswith("digits (scikit-learn")
    assert all(picture["alt"] for picture in written["pictures"])


def test_large_pictures_are_made_one_at_a_time(figure):
    """Memory is that of a training batch, however many pictures there are, or however large."""
    f, seen = figure("x"), []
    original = f._forward
    f._forward = lambda x, c: (seen.append(x.shape[0]), original(x, c))[1]
    f.decode(f.latents(3, 10), f.conditioning(3))
    f.decode(f.latents(70), f.conditioning(70))
    assert seen == [1, 1, 1, 64, 6]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["smaples", "--run=x"], "error: NAME='smaples': must be one of examples, samples"),
        (["samples"], "error: `run`=[]: figure 'samples' is made from one run; name one, --run=DIR."),
        (["samples", "--run=a", "--run=b"], "error: `run`=['a', 'b']: figure 'samples' is made from one run"),
        (["samples", "--run=nowhere"], "error: `run`=nowhere"),
        ([], "expected one NAME of examples, samples,"),
        (["samples", "--temperature=-1"], "flag --temperature=-1"),
    ],
    ids=["name", "no run", "two runs", "missing run", "nothing", "temperature"],
)
def test_refused(arguments, message, commands, tmp_path):
    assert_nothing_done(commands(*arguments, setup=f"patch.chdir({str(tmp_path)!r})"), message, tmp_path)


def test_attributes_of_an_unconditional_run(figure, opened):
    plain = dataclasses.replace(opened, images=dataclasses.replace(opened.images))
    object.__setattr__(plain.images, "conditioning_names", ())
    with pytest.raises(ValueError, match="'attributes': digits was trained without attributes or classes"):
        latent_space.attributes(dataclasses.replace(figure("attributes"), opened=plain))


def test_too_few_test_images(figure):
    with pytest.raises(ValueError, match="figure 'x' needs 300 test images: there are 200"):
        figure("x").examples(300)
