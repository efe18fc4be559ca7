"""CIFAR-10 by a large `GlowImage`, for one GPU and a day; not run.

    python -m examples.train --config=cifar10_plus_gpu --data_dir=DIR

The flow is that of `cifar10_plus` with wider networks of more blocks, 56 million parameters, in batches of 128.
"""

from examples import data
from examples.config import Config, Glow


def get_config():
    return Config(
        load=lambda sources: data.cifar10(sources.data_dir, sources.conditional),
        flow=Glow(depth=24, width=256, residual_blocks=2, compute_dtype="bfloat16"),
        steps=150_000,
        steps_per_execution=10,
        evaluations=150,
        batch_size=128,
        optimizer="muon",
        learning_rate=2e-3,
        clip_norm=2000.0,
        warmup_steps=1000,
        cosine_decay=True,
        averaging=0.9995,
        l2=0.0,
        flip=True,
        image_shape=(32, 32, 3),
    )
