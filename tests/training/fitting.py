"""Batches for `FlowModel` and the noise that it promises to add to them."""

import numpy as np
import tensorflow as tf

EVALUATION = 1  # `FlowModel` draws the noise of evaluation from stream 1, and that of training from stream 0.


def batched(*arrays, size=4):
    """A dataset of batches of the images, or of (images, conditioning)."""
    return tf.data.Dataset.from_tensor_slices(arrays if len(arrays) > 1 else arrays[0]).batch(size)


def noisy(x, seed=0, stream=EVALUATION, size=4, first=0, draw=0):
    """The pixels of all batches of `size` images, as the documentation promises them.

    `first` is the number of the first batch.
    """
    parts = []
    for i in range(0, len(x), size):
        part = x[i : i + size].astype(np.float32)
        key = np.array([seed, draw * 2**32 + 2 * (first + i // size) + stream])
        parts.append(part + tf.random.stateless_uniform(part.shape, key).numpy())
    return np.concatenate(parts)


def by_steps(model, x, steps):
    """The loss and bits/dim of each of several training steps on `x`."""
    return model.fit(x, batch_size=len(x), epochs=steps, shuffle=False, verbose=0).history
