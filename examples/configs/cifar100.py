"""CIFAR-100 with the paper's CIFAR-10 network; --conditional conditions the flow on the class.

    python -m examples.train --config=cifar100 --data_dir=DIR [--conditional]

This config is meant for an accelerator and was not run. The paper has no result for it. Everything else is as in
`cifar10`, the splits too.
"""

import dataclasses

from examples import data
from examples.configs import cifar10


def get_config():
    return dataclasses.replace(
        cifar10.get_config(),
        load=lambda sources: data.cifar100(sources.data_dir, sources.conditional),
    )
