"""CelebA at 32x32 for two CPU cores; --conditional conditions the flow on the 40 attributes.

    python -m examples.train --config=celeba_small --data_dir=DIR [--conditional]

It was run on 2,048 of the 162,770 training pictures, on two cores shared with other work, with TensorFlow 2.21 and seed
0. Training saw 64,000 images, in 19 min without attributes and in 20 min with them. On 256 test pictures, 4 noise draws
each, bits/dim is 4.516 +- 0.024 without attributes and 4.516 +- 0.024 with them; on the training pictures it is 4.398
and 4.386. The small difference is no surprise: 40 yes-or-no attributes hold at most 40 bits, 0.013 bits/dim of 32x32x3.
Figure `attributes` shows what they change. Held-out bits/dim is best at step 800, because the pictures are few. The
splits are the official ones.
"""

from examples import data
from examples.config import Config, small_flow


def get_config():
    return Config(
        load=lambda sources: data.celeb_a(sources.data_dir, size=32, conditional=sources.conditional),
        flow=small_flow(),
        steps=1000,
        learning_rate=1e-2,
        evaluations=5,
        cosine_decay=True,
        averaging=0.998,
        flip=True,
        image_shape=(32, 32, 3),
    )
