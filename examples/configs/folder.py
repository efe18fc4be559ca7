"""Any directory of pictures: --folder names it, and --image_size is the side of the squares they are cut to.

With --conditional the folders in it are the classes. `examples.data.folder` says which pictures are held out, and what
happens to those that are no squares, small or damaged.
"""

from examples import data
from examples.config import Config, small_flow


def get_config():
    return Config(
        load=lambda sources: data.folder(sources.folder, sources.image_size, sources.conditional),
        flow=small_flow(),
        steps=2000,
        learning_rate=5e-3,
        evaluations=10,
        cosine_decay=True,
        averaging=0.995,
        flip=True,
        validation_images=512,
    )
