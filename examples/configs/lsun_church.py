"""The paper's LSUN church_outdoor: 3.08 bits/dim on the test set, 2.94 on the training set (paper, table 1).

    python -m examples.train --config=lsun_church --data_dir=DIR

This config is meant for an accelerator and was not run. It is like `lsun_bedroom`, with 126,227 training pictures;
400,000 steps are 206 passes.
"""

import dataclasses

from examples import data
from examples.configs import lsun_bedroom


def get_config():
    return dataclasses.replace(
        lsun_bedroom.get_config(),
        load=lambda sources: data.lsun("church_outdoor", sources.data_dir, sources.conditional),
    )
