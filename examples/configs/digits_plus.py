"""scikit-learn's 8x8 digits by `GlowImage`.

python -m examples.train --config=digits_plus
"""

from examples import data
from examples.config import Config, Glow


def get_config():
    return Config(
        load=lambda sources: data.digits(sources.conditional),
        flow=Glow(num_scales=2, depth=8, width=32),
        steps=400,
        evaluations=4,
        optimizer="muon",
        learning_rate=2e-3,
        clip_norm=200.0,
        warmup_steps=50,
        cosine_decay=True,
        averaging=0.99,
        l2=0.0,
        image_shape=(8, 8, 1),
        levels=17,
    )
