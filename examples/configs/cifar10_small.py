"""CIFAR-10 for two CPU cores and 20 minutes: 3 scales, width 32, 2 residual blocks."""

from examples import data
from examples.config import Config

CONFIG = Config(
    load=lambda sources: data.cifar10(sources.data_dir),
    flow={"num_scales": 3, "width": 32, "residual_blocks": 2, "compute_dtype": "bfloat16"},
    steps=2250,
    learning_rate=1e-2,
    evaluations=5,
    cosine_decay=True,
    averaging=0.998,
    flip=True,
    validation_images=512,
    test_images=2000,
)
