"""32x32 colour crops of scikit-learn's two bundled photographs: real pictures, no download.

    python -m examples.train --config=photo_patches

It was run on two cores (AMD EPYC, no GPU, shared with other work) with TensorFlow 2.21 and seed 0. Training saw 51,200
images in 17.0 min. The result is 2.788 +- 0.030 bits/dim on the 1,782 test crops, one noise draw each. Crops overlap,
and each split has its own strips of the two pictures, so splits differ from one another more than crops of one split
do: bits/dim is 3.24 on 2,000 training crops and 4.32 on the validation crops.
"""

from examples import data
from examples.config import Config, small_flow


def get_config():
    return Config(
        load=lambda sources: data.photo_patches(conditional=sources.conditional),
        flow=small_flow(),
        steps=800,
        learning_rate=5e-3,
        evaluations=4,
        cosine_decay=True,
        averaging=0.995,
        flip=True,
        validation_images=512,
        image_shape=(32, 32, 3),
    )
