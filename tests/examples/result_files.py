"""Writes files of results as `examples.evaluate` writes them."""

import json

RESULT = {
    "config": "cifar10_small",
    "key": "cifar10",
    "data": "cifar10 3.0.2 (TFDS)",
    "genuine": True,
    "split": "test",
    "split_is": "first 2,000 of 10,000: test",
    "images": 2000,
    "image_shape": [32, 32, 3],
    "preprocessing": "none",
    "bound": True,
    "bits_per_dim": 3.7914,
    "standard_error": 0.0126,
    "noise_draws": 1,
    "importance_weighted": None,
    "conditional": False,
    "preset": "released",
    "flow": {"num_scales": 3},
    "weights": "averaged",
    "statistics": "running",
    "step": 2250,
    "images_seen": 144000,
    "minutes": 18.63,
    "training_flop": 5.9e14,
    "training_command": "python -m examples.train --config=cifar10_small",
    "command": "python -m examples.train --config=cifar10_small",
    "seed": 0,
    "identity": {"config": "cifar10_small", "seed": 0},
    "versions": {"numpy": "2.0"},
}


def write(directory, name="test", **changes):
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"result_{name}.json"
    path.write_text(json.dumps(RESULT | changes), encoding="utf-8")
    return path
