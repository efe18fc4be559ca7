"""Images for the training programs: one loader per data set, and batches that their step number determines.

Every loader returns an `ImageData`. A package that only some loaders need is imported by those loaders.
"""

from examples.data.batches import check_divides, eval_batches, share_of_batches, train_batches
from examples.data.embedded import digits, photo_patches
from examples.data.image_data import ImageData
from examples.data.images import ArrayImages, Images
from examples.data.picture_folder import folder
from examples.data.record_images import RecordImages
from examples.data.tfds_sets import celeb_a, cifar10, cifar100, imagenet, lsun, mnist

__all__ = [
    "ArrayImages",
    "ImageData",
    "Images",
    "RecordImages",
    "celeb_a",
    "check_divides",
    "cifar10",
    "cifar100",
    "digits",
    "eval_batches",
    "folder",
    "imagenet",
    "lsun",
    "mnist",
    "photo_patches",
    "share_of_batches",
    "train_batches",
]
