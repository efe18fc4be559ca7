"""Trains a model of Keras 3 alone and under `MirroredStrategy` over two CPUs; prints losses and weights as JSON.

It is a program because logical devices can be set up only before TensorFlow starts.
"""

import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf

from tests import models
from tfp_realnvp.keras3 import FlowModel


def trained(strategy):
    with strategy.scope():
        model = FlowModel(models.tiny(residual_blocks=1, dtype=tf.float64), averaging=0.8, l2=0.1)
        for i, v in enumerate(model.distribution.trainable_variables):
            v.assign(0.3 * tf.random.stateless_normal(v.shape, [i, 0], dtype=v.dtype))
        model.averages.restart()
        # The norm of the gradients is clipped in every step.
        model.compile(keras.optimizers.SGD(0.01, momentum=0.9, global_clipnorm=0.5))
    losses = model.fit(models.images(16), batch_size=8, epochs=2, shuffle=False, verbose=0).history["loss"]
    weights = [v.numpy().tolist() for v in (*model.distribution.variables, *model.averages.averages)]
    return losses, weights, model.predict(models.images(4), verbose=0).tolist()


def main():
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategies = tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    print("JSON " + json.dumps([trained(strategy) for strategy in strategies]))


if __name__ == "__main__":
    main()
