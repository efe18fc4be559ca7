"""MNIST, padded to 32x32, for two CPU cores; --conditional conditions the flow on the digit.

    python -m examples.train --config=mnist --data_dir=DIR [--conditional]

This config was not run, and the paper has no result for it. Flow and training are those of `cifar10_small`, without
flips. It trains on train[:58000], validates on train[58000:] and tests on the first 2,000 images of test.
"""

import dataclasses

from examples import data
from examples.configs import cifar10_small


def get_config():
    return dataclasses.replace(
        cifar10_small.get_config(),
        load=lambda sources: data.mnist(sources.data_dir, sources.conditional),
        flip=False,
        image_shape=(32, 32, 1),
    )
