"""The paper's LSUN bedroom: 2.72 bits/dim on the test set, 2.70 on the training set (paper, table 1).

    python -m examples.train --config=lsun_bedroom --data_dir=DIR

This config is meant for an accelerator and was not run. The short side of a picture is reduced to 96 pixels, and a
random square of 64 pixels is cut, which depends on the seed and the image's place in the data; training mirrors some at
random. The test images are the official 300 validation pictures, with the same crops always; the last 2,000 of
3,033,042 training pictures are for validation. Optimiser and penalty are those of `cifar10`. The paper gives no number
of steps; 400,000 is 8 passes.
"""

from examples import data
from examples.config import Config, paper_64


def get_config():
    return Config(
        load=lambda sources: data.lsun("bedroom", sources.data_dir, sources.conditional),
        flow=paper_64(),
        steps=400_000,
        steps_per_execution=10,
        evaluations=200,
        flip=True,
        image_shape=(64, 64, 3),
    )
