"""The batch norm of networks computes the same whether TensorFlow fuses it or not."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_realnvp import NetworkOptions
from tfp_realnvp.networks.batch_norm import BatchNorm


@pytest.mark.parametrize("jit_compile", [None, False, True])
def test_fused_batch_norm_is_the_plain_one(jit_compile):
    # Float64 is never fused. There are few positions, so that n and n - 1 differ.
    x = np.random.RandomState(0).randn(2, 2, 2, 3) + 2
    results = []
    for dtype in (tf.float32, tf.float64):
        norm = BatchNorm(3, NetworkOptions(dtype=dtype))
        norm.offset.assign([0.1, -0.2, 0.3])

        def step(point, norm=norm):
            with tf.GradientTape() as tape:
                tape.watch(point)
                y = norm(point, training=True, update_statistics=True)
                loss = tf.reduce_sum(y**3)
            return [y, *tape.gradient(loss, [point, norm.offset])]

        step = step if jit_compile is None else tf.function(step, jit_compile=jit_compile)
        results.append([*step(tf.constant(x, dtype)), norm.statistics.mean, norm.statistics.variance])
    for fused, plain in zip(*results, strict=True):
        assert fused.dtype == tf.float32
        np.testing.assert_allclose(fused, plain, rtol=1e-4, atol=1e-5)  # Gradients are differences of large sums.
