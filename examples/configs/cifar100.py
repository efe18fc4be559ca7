"""CIFAR-100 through the paper's CIFAR-10 network; with --conditional on the class.

    python -m examples.train --config=cifar100 --data_dir=DIR [--conditional]

Made for an accelerator, and not run. The paper has no figure for it. All else as in `cifar10`, splits too.
"""

import dataclasses

from examples import data
from examples.configs import cifar10

CONFIG = dataclasses.replace(
    cifar10.CONFIG,
    load=lambda sources: data.cifar100(sources.data_dir, sources.conditional),
)
