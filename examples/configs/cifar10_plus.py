"""CIFAR-10 by a deep `GlowImage`, in nine times the time that `cifar10_small` takes on two CPU cores.

python -m examples.train --config=cifar10_plus --data_dir=DIR
"""

from examples import data
from examples.config import Config, Glow


def get_config():
    return Config(
        load=lambda sources: data.cifar10(sources.data_dir, sources.conditional),
        flow=Glow(depth=16, width=96, compute_dtype="bfloat16"),
        steps=44_000,
        evaluations=44,
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
        image_shape=(32, 32, 3),
    )
