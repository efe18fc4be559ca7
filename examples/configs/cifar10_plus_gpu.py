"""CIFAR-10 by a large `GlowImage`, for one GPU and a day; not run.

    python -m examples.train --config=cifar10_plus_gpu --data_dir=DIR

The flow is that of `cifar10_plus` with more steps of wider networks of more blocks, 56 million parameters, in batches
of 128.
"""

import dataclasses

from examples.config import Glow
from examples.configs import cifar10_plus_small


def get_config():
    return dataclasses.replace(
        cifar10_plus_small.get_config(),
        flow=Glow(depth=24, width=256, residual_blocks=2, compute_dtype="bfloat16"),
        steps=150_000,
        steps_per_execution=10,
        evaluations=150,
        batch_size=128,
        warmup_steps=1000,
        averaging=0.9995,
        validation_images=None,
        test_images=None,
    )
