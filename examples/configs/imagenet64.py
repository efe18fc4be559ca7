"""The paper's 64x64 ImageNet: 3.98 bits/dim on the validation set, 3.75 on the training set (paper, table 1).

    python -m examples.train --config=imagenet64 --data_dir=DIR

This config is meant for an accelerator and was not run. The data are the old downsampled set; BUILD.md says how to get
it, and a result on another set says so. The test images are the official validation set; the last 2,000 training images
are for validation. The flow has about 96 million parameters. There are no flips; optimiser and penalty are those of
`cifar10`. The paper gives no number of steps; 400,000 is 20 passes. The README of the released program has 4 residual
blocks here.
"""

from examples import data
from examples.config import Config, paper_64


def get_config():
    return Config(
        load=lambda sources: data.imagenet(64, sources.data_dir, sources.conditional),
        flow=paper_64(),
        steps=400_000,
        steps_per_execution=10,
        evaluations=200,
        image_shape=(64, 64, 3),
    )
