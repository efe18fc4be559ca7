"""CIFAR-10 by `GlowImage`, in the time that `cifar10_small` takes on two CPU cores.

    python -m examples.train --config=cifar10_plus_small --data_dir=DIR

As it stands it has not been run to its end. With 5,000 steps, 160,000 images, in float32 it was run on two cores (AMD
EPYC without AVX-512) beside other work, with TensorFlow 2.21 and seed 0:

    python -m examples.train --config=cifar10_plus_small --config.steps=5000 --config.flow.compute_dtype=none \\
      --config.evaluations=10 --data_dir=DIR

Bits/dim, averaged weights, one noise draw an image: 3.611 +- 0.006 on all 10,000 test images, 3.601 +- 0.013 on the
first 2,000 (`cifar10_small`: 3.802 and 3.793). Before its ReLUs were leaky a step took 0.58 s alone, 55 images/s, where
`cifar10_small` in float32 trains 17 images/s on that machine. Its convolutions are 1.3 GFLOP for an image and step,
2.1e14 in all; those of `cifar10_small` 4.1 and 5.9e14.
"""

from examples import data
from examples.config import Config, Glow


def get_config():
    return Config(
        load=lambda sources: data.cifar10(sources.data_dir, sources.conditional),
        flow=Glow(compute_dtype="bfloat16"),
        steps=8000,
        evaluations=5,
        batch_size=32,
        optimizer="muon",
        learning_rate=2e-3,
        clip_norm=2000.0,
        warmup_steps=200,
        cosine_decay=True,
        averaging=0.998,
        l2=0.0,
        flip=True,
        validation_images=512,
        test_images=2000,
        image_shape=(32, 32, 3),
    )
