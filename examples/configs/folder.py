"""Any directory of pictures: --folder says which, --image_size to what square they are cut."""

from examples import data
from examples.config import SMALL_FLOW, Config

CONFIG = Config(
    load=lambda sources: data.folder(sources.folder, sources.image_size, sources.conditional),
    flow=SMALL_FLOW,
    steps=2000,
    learning_rate=5e-3,
    evaluations=10,
    cosine_decay=True,
    averaging=0.995,
    flip=True,
    validation_images=512,
)
