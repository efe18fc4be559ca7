"""CelebA at 32x32 for two CPU cores; with --conditional on the 40 attributes.

    python -m examples.train --config=celeba_small --data_dir=DIR [--conditional]

On 2,048 of the 162,770 training pictures, two cores shared with other work, TensorFlow 2.21, seed 0, 64,000 images seen
in 19 and 20 min. Bits/dim on 256 test pictures, 4 noise draws each: 4.516 +- 0.024 without attributes, 4.516 +- 0.024
with them; on the training pictures 4.398 and 4.386. That is no surprise: 40 yes-or-no attributes hold 40 bits at most,
0.013 bits/dim of 32 x 32 x 3. What they change is seen in figure `attributes`. Held-out bits/dim is best at step 800,
since the pictures are few. The splits are the official ones.
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
    image_shape=(32, 32, 3),
)
