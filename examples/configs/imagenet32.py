"""The paper's 32x32 ImageNet: 4.28 bits/dim on the validation set, 4.26 on the training set (paper, table 1).

    python -m examples.train --config=imagenet32 --data_dir=DIR

This config is meant for an accelerator and was not run. The data are the old downsampled set; BUILD.md says how to get
it, and a result on another set says so. The test images are the official validation set; the last 2,000 training images
are for validation. The flow has about 46 million parameters. There are no flips; optimiser and penalty are those of
`cifar10`. The paper gives no number of steps; 400,000 is 20 passes.
"""

from examples import data
from examples.config import Config, Flow


def get_config():
    return Config(
        load=lambda sources: data.imagenet(32, sources.data_dir, sources.conditional),
        flow=Flow(num_scales=4, width=32, residual_blocks=4),
        steps=400_000,
        steps_per_execution=10,
        evaluations=200,
        image_shape=(32, 32, 3),
    )
