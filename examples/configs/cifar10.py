"""The paper's CIFAR-10 experiment: 3.49 bits/dim on the test set (paper, table 1).

Network, optimiser and flips are those of the paper and the released program: two scales, width 64, 8 residual blocks,
about 19.6 million parameters; Adam 1e-3, batch 64, clip 100, L2 5e-5, no decay, no averaging. The paper gives no number
of steps; 400,000 is 533 passes over the 48,000 training images. This config is meant for an accelerator and was not
run; BUILD.md has a run of its network on a GPU, with another schedule. It trains on train[:48000], validates on
train[48000:] and tests on all 10,000 images of test.
"""

from examples import data
from examples.config import Config, Flow


def get_config():
    return Config(
        load=lambda sources: data.cifar10(sources.data_dir, sources.conditional),
        flow=Flow(num_scales=2, width=64, residual_blocks=8),
        steps=400_000,
        steps_per_execution=10,
        evaluations=200,
        flip=True,
        image_shape=(32, 32, 3),
    )
