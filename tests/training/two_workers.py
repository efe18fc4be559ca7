"""One of two workers, told which by TF_CONFIG: starts a flow from a batch of its own, and prints what it started from.

It is a program because a worker is a process.
"""

import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

from tests.models import compiled, images, on_prior, values
from tfp_realnvp import GlowImage


def started(*seeds):
    """All variables of a flow that starts from the images of these seeds, with no noise."""
    tf.random.set_seed(0)
    flow = GlowImage(1, num_scales=1, depth=2, width=3)
    model = compiled(on_prior(flow), dequantize=False)
    model.initialize_from_data(tf.concat([images(8, seed=s) + 0.5 for s in seeds], 0))
    return [v.ravel().tolist() for v in values(flow.trainable_variables)]


def main():
    worker = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    assert strategy.num_replicas_in_sync == 2
    with strategy.scope():
        mine = started(worker)
    print("JSON " + json.dumps({"together": mine, "alone": started(0, 1)}), flush=True)


if __name__ == "__main__":
    main()
