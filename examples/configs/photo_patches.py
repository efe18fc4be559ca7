"""32x32 colour crops of scikit-learn's two bundled photographs: real pictures, no download."""

from examples import data
from examples.config import SMALL_FLOW, Config

CONFIG = Config(
    load=lambda sources: data.photo_patches(),
    flow=SMALL_FLOW,
    steps=800,
    learning_rate=5e-3,
    evaluations=4,
    cosine_decay=True,
    averaging=0.995,
    flip=True,
    validation_images=512,
)
