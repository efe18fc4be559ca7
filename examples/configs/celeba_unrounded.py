"""CelebA as the released program feeds it: resized pixels keep their fractions, and noise is added to those.

    python -m examples.train --config=celeba_unrounded --data_dir=DIR

Its bits/dim is that of a density of these fractions. It bounds no 8-bit code, and results are marked so. This config is
meant for an accelerator and was not run; everything else is as in `celeba`.
"""

import dataclasses

from examples import data
from examples.configs import celeba


def get_config():
    return dataclasses.replace(
        celeba.get_config(),
        load=lambda sources: data.celeb_a(sources.data_dir, rounded=False, conditional=sources.conditional),
    )
