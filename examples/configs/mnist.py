"""MNIST, padded to 32x32, for two CPU cores; with --conditional on the digit.

    python -m examples.train --config=mnist --data_dir=DIR [--conditional]

Not run. The paper has no figure for it. Flow and training as of `cifar10_small`, without flips.
Trained on train[:58000], watched on train[58000:], tested on the first 2,000 images of test.
"""

import dataclasses

from examples import data
from examples.configs import cifar10_small

CONFIG = dataclasses.replace(
    cifar10_small.CONFIG,
    load=lambda sources: data.mnist(sources.data_dir, sources.conditional),
    flip=False,
    image_shape=(32, 32, 1),
)
