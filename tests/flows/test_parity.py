"""The `released` flow computes the numbers that were recorded from the authors' program."""

import functools
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tests.flows import authors_parity
from tests.flows.authors_parity import load, our_name, part_of
from tfp_realnvp import RealNVPImage

GOLDEN = pathlib.Path(__file__).parents[3] / "shared/golden/authors_16x16_scales3_width8_blocks2.npz"

needs_golden = pytest.mark.skipif(not GOLDEN.is_file(), reason="the authors' recorded numbers are not on this machine")


@needs_golden
def test_the_flow_equals_the_authors_program():
    assert authors_parity.compare(GOLDEN) == []


@needs_golden
@pytest.mark.parametrize(
    ("transform", "recompute_gradients"),
    [
        pytest.param(lambda function: function, True, id="recomputed"),
        pytest.param(tf.function, True, id="graph_recomputed", marks=pytest.mark.slow),
        pytest.param(functools.partial(tf.function, jit_compile=True), False, id="xla", marks=pytest.mark.slow),
        pytest.param(
            functools.partial(tf.function, jit_compile=True), True, id="xla_recomputed", marks=pytest.mark.slow
        ),
    ],
)
def test_the_flow_equals_it_in_every_mode(transform, recompute_gradients):
    assert authors_parity.compare(GOLDEN, transform, recompute_gradients=recompute_gradients) == []


@needs_golden
def test_a_wrong_variable_is_noticed(tmp_path):
    with np.load(GOLDEN) as file:
        recorded = dict(file)
    name = "variable/scale_2/coupling_3/resnet/out/biases"  # The last network has the smallest effect.
    recorded[name] = recorded[name] + 0.01
    np.savez(tmp_path / "wrong.npz", **recorded)
    failed = authors_parity.compare(tmp_path / "wrong.npz")
    assert {"eval_z", "decode_y", "train_z"} <= set(failed)
    assert "y" not in failed  # These are the logits of the pixels, which no network touches.


def _names(num_scales, residual_blocks):
    """All names that the released program could give its variables. Some parts don't have all of these leaves."""
    parts = ["bn_in", "bn_out", *(f"resnet/{p}" for p in ("h_in", "skip_in", "bn_pre_out", "out"))]
    for i in range(residual_blocks):
        parts += [f"resnet/skip_{i}", *(f"resnet/block_{i}/{p}" for p in ("bn_in", "h_0", "bn_0", "out"))]
    leaves = [f"{p}/{leaf}" for p in parts for leaf in ("weights", "biases", "magnitude", "beta", "mean", "var")]
    for scale in range(num_scales):
        for k in range(7):
            for leaf in [*leaves, "rescaling_scale" if k < 4 else "scale"]:
                yield f"scale_{scale}/coupling_{k}/{leaf}"


@pytest.mark.parametrize(("shape", "num_scales", "residual_blocks"), [((4, 8, 1), 2, 0), ((2, 3, 3), 1, 2)])
def test_files_of_other_sizes_are_read(shape, num_scales, residual_blocks):
    """The format is also read for images that are not square, and for one channel or scale. The numbers are our own."""
    flow = RealNVPImage(shape[-1], num_scales=num_scales, width=3, residual_blocks=residual_blocks)
    ours = {v.name.removeprefix(f"{flow.name}/").removesuffix(":0"): v for v in flow.variables}
    pairs = {n: ours[our_name(n)] for n in _names(num_scales, residual_blocks) if our_name(n) in ours}
    assert len(pairs) == len(ours)
    random = np.random.RandomState(0)
    for v in pairs.values():
        v.assign(v + random.uniform(0.1, 0.3, v.shape))
    values = {n: v.numpy()[part_of(n, v)] if v.shape.rank else v.numpy() for n, v in pairs.items()}
    pixels, noise = random.randint(0, 256, (3, *shape)).astype(np.uint8), random.uniform(0, 1, (3, *shape))
    meta = {"meta/num_scales": num_scales, "meta/base_width": 3, "meta/residual_blocks": residual_blocks}
    images = {"pixels": pixels, "noise": noise.astype(np.float32)}
    _, distribution, loaded = load({**meta, **images, **{f"variable/{n}": v for n, v in values.items()}})
    assert loaded.keys() == pairs.keys()
    x = pixels + noise.astype(np.float32)
    prior = distribution.distribution
    expected = prior.log_prob(flow.inverse(x)) + flow.inverse_log_det_jacobian(x, 3)
    np.testing.assert_allclose(distribution.log_prob(x), expected, rtol=1e-6)
