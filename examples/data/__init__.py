"""Images for the training programs: one loader a data set, and batches that a step number determines.

Every loader returns an `ImageData`. Packages that only loaders need are imported by the loader that needs them.
"""

from examples.data.batches import eval_batches, train_batches
from examples.data.embedded import digits, photo_patches
from examples.data.image_data import ImageData
from examples.data.picture_folder import folder
from examples.data.tfds_sets import cifar10

__all__ = ["ImageData", "cifar10", "digits", "eval_batches", "folder", "photo_patches", "train_batches"]
