"""The paper's LSUN tower: 2.81 bits/dim on the test set, 2.78 on the training set (paper, table 1).

    python -m examples.train --config=lsun_tower --data_dir=DIR

This config is meant for an accelerator and was not run. It is like `lsun_bedroom`, with 708,264 training pictures;
400,000 steps are 36 passes.
"""

import dataclasses

from examples import data
from examples.configs import lsun_bedroom


def get_config():
    return dataclasses.replace(
        lsun_bedroom.get_config(),
        load=lambda sources: data.lsun("tower", sources.data_dir, sources.conditional),
    )
