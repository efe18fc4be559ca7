"""Prints the MiB that a training step on 32 images takes above one on a single image; for test_memory.py.

    MALLOC_MMAP_THRESHOLD_=65536 python -m tests.training.peak_memory COUPLINGS RESIDUAL_BLOCKS [recompute]

This is a program because the peak of a process never falls. The environment variable makes freed arrays leave the
process.
"""

import os
import pathlib
import re
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp import (
    AffineCoupling,
    Checkerboard,
    Composition,
    CouplingNetwork,
    FlowBatchNorm,
    FlowModel,
    NetworkOptions,
    PixelLogit,
)

SHAPE = [32, 32, 3]


def main(couplings, residual_blocks, recompute_gradients):
    parts, recompute = [PixelLogit()], {"recompute_gradients": recompute_gradients}
    for i in range(couplings):
        mask = Checkerboard(i % 2)
        network = CouplingNetwork(mask, 3, 32, residual_blocks, NetworkOptions(**recompute))
        parts += [AffineCoupling(mask, network, shift_first=True, **recompute), FlowBatchNorm(3, mask, **recompute)]
    prior = tfp.distributions.Sample(tfp.distributions.Normal(0.0, 1.0), sample_shape=SHAPE)
    model = FlowModel(tfp.distributions.TransformedDistribution(prior, Composition(parts, name="flow")))
    model.compile()
    step = tf.function(lambda x: model.train_step((x,)), autograph=False).get_concrete_function(
        tf.TensorSpec([None, *SHAPE], tf.uint8)
    )
    peaks = []
    for size in (1, 32):
        for _ in range(2):
            step(tf.constant(np.random.RandomState(0).randint(0, 256, [size, *SHAPE]).astype(np.uint8)))
        # `ru_maxrss` would begin with that of the program that started this one.
        status = pathlib.Path("/proc/self/status").read_text()
        peaks.append(int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) / 1024)
    print(f"MiB {peaks[1] - peaks[0]:.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), "recompute" in sys.argv)
