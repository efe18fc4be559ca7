"""CelebA at 32x32 for two CPU cores; with --conditional on the 40 attributes.

python -m examples.train --config=celeba_small --data_dir=DIR [--conditional]
"""

from examples import data
from examples.config import SMALL_FLOW, Config

CONFIG = Config(
    load=lambda sources: data.celeb_a(sources.data_dir, size=32, conditional=sources.conditional),
    flow=SMALL_FLOW,
    steps=1000,
    learning_rate=1e-2,
    evaluations=5,
    cosine_decay=True,
    averaging=0.998,
    flip=True,
)
