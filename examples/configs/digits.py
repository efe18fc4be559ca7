"""scikit-learn's 8x8 digits, 17 grey levels: the embedded default."""

from examples import data
from examples.config import Config

CONFIG = Config(
    load=lambda sources: data.digits(),
    flow={"num_scales": 2, "width": 32, "residual_blocks": 2},
    steps=400,
    evaluations=4,
    learning_rate=5e-3,
    cosine_decay=True,
    averaging=0.99,
)
