"""CIFAR-10 for two CPU cores and 20 minutes: 3 scales, width 32, 2 residual blocks.

    python -m examples.train --config=cifar10_small --data_dir=DIR

It was run on two cores (AMD EPYC with AVX-512 and bfloat16, no GPU) with TensorFlow 2.21 and seed 0. Training saw
144,000 images in 18.6 min alone on the machine (129 images/s, first trace and evaluations included), and in 37.8 min
beside other work. The result is 3.793 +- 0.013 bits/dim on the first 2,000 test images, one noise draw each. The
paper's network, which is much larger and trained to the end, has 3.49 on all 10,000.

Learning rates of 1e-3, 3e-3 and 1e-2, with cosine decay over 250 steps, gave 4.75, 4.40 and 4.21 bits/dim on 512
validation images: the entries of weight-normalised filters are about 0.1, and Adam's steps are small beside them.
"""

from examples import data
from examples.config import Config, small_flow


def get_config():
    return Config(
        load=lambda sources: data.cifar10(sources.data_dir, sources.conditional),
        flow=small_flow(),
        steps=2250,
        learning_rate=1e-2,
        evaluations=5,
        cosine_decay=True,
        averaging=0.998,
        flip=True,
        validation_images=512,
        test_images=2000,
        image_shape=(32, 32, 3),
    )
