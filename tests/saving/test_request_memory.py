"""The largest request that an export takes by default needs less than 1 GiB."""

import math

import numpy as np
import pytest
import tensorflow_probability as tfp

from examples import config
from examples.exporting import MAX_VALUES
from tests.saving.exports import run_alone
from tfp_realnvp import RealNVPImage, export_saved_model

tfd = tfp.distributions
SHAPES = {"digits": ((8, 8, 1), 17), "cifar10_small": ((32, 32, 3), 256)}


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
def test_largest_requests(name, tmp_path, record_property):
    shape, levels = SHAPES[name]
    flow = RealNVPImage(shape[-1], levels=levels, **config.get(name).values["flow"])
    prior = tfd.Sample(tfd.Normal(0.0, 1.0), sample_shape=shape)
    export = export_saved_model(tfd.TransformedDistribution(prior, flow), tmp_path / "export")
    most, seed = MAX_VALUES // math.prod(shape), np.zeros([2], np.int32)
    sizes = {"height": np.int32(shape[0]), "width": np.int32(shape[1])}

    def requests(count):
        yield "sample", {"count": np.int32(count), "seed": seed, "temperature": np.float32(1.0)} | sizes
        yield "serving_uint8", {"pixels": np.zeros([count, *shape], np.uint8), "seed": seed}
        yield "decode", {"latents": np.zeros([count, *shape], np.float32)}

    seen = run_alone(tmp_path, "peak", export, [*requests(1), *requests(most)])
    assert seen[3][0]["pixels"] == (most, *shape)
    loaded, peak = seen[3][1] / 2**20, max(peak for _, _, peak in seen[3:]) / 2**20
    assert 0 < peak - loaded < 1024
    record_property("speed", f"{name}: {most} images in a request take {peak - loaded:.0f} MiB; {peak:.0f} in all")
