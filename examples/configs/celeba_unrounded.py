"""CelebA as the released program feeds it: resized pixels keep their fractions, and noise is added to those.

    python -m examples.train --config=celeba_unrounded --data_dir=DIR

Its bits/dim is a density of these fractions: it bounds no 8-bit code, and results are marked so. Made for an
accelerator, and not run; all else as in `celeba`.
"""

import dataclasses

from examples import data
from examples.configs import celeba

CONFIG = dataclasses.replace(
    celeba.CONFIG,
    load=lambda sources: data.celeb_a(sources.data_dir, rounded=False, conditional=sources.conditional),
)
