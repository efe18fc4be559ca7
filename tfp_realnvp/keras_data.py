"""Images, conditioning and weights of images in the places that Keras has for them: x, y and sample_weight."""

import numpy as np
import tf_keras

from tfp_realnvp.checks import check_conditioning, check_data
from tfp_realnvp.image_bijector import ImageBijector


def check_images(model, argument, data, y=None):
    """Raises if `data`, and conditioning `y` beside them, are not what a `FlowModel` takes; see `checks`."""
    check_data(argument, data, model.distribution.event_shape, model.levels, whole=model.dequantize)
    parts = model.distribution.submodules
    sizes = {part.conditioning_size for part in parts if hasattr(part, "conditioning_size")}
    check_conditioning(argument, data, y, sizes, any(isinstance(part, ImageBijector) for part in parts))


def keep_weights(x, y, sample_weight):
    """Returns the y to give Keras, which drops the weights of arrays without one: then it has no columns."""
    if y is None and sample_weight is not None:
        return np.zeros([len(x), 0], np.float32)
    return y


def unpack(data):
    """Returns images, conditioning and weights, of what a step is given; None for what there is not."""
    images, conditioning, weights = tf_keras.utils.unpack_x_y_sample_weight(data)
    if isinstance(images, tuple):  # From `predict`, for which Keras knows no y.
        images, conditioning = images
    if conditioning is not None and conditioning.shape.rank == 2 and conditioning.shape[-1] == 0:
        conditioning = None
    return images, conditioning, weights
