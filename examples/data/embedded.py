"""Images that come with scikit-learn and need no download."""

import numpy as np

from examples.data.image_data import ImageData, check_int, import_extra, refuse_conditional
from examples.data.images import ArrayImages

# The columns of the photographs (640 wide) that each split takes. The strips that are held out lie inside the pictures,
# where they resemble the rest.
_PHOTO_COLUMNS = {"train": ((0, 288), (352, 416), (480, 640)), "validation": ((288, 352),), "test": ((416, 480),)}


def digits(conditional=False):
    """Returns the `ImageData` of scikit-learn's 1,797 handwritten digits, uint8 [8, 8, 1] of 17 levels.

    Of these, 1,397 are for training, 200 for validation and 200 for testing.

    Args:
      conditional: bool; each image comes with its class, one-hot.

    Raises:
      ImportError: if scikit-learn is missing.
    """
    datasets = import_extra("sklearn.datasets")
    bunch = datasets.load_digits()
    images = bunch.images.astype(np.uint8)[..., np.newaxis]
    order = _fixed_order(len(images))
    images, classes = images[order], np.eye(10, dtype=np.float32)[bunch.target[order]]

    def split(rows):
        return ArrayImages(images[rows], classes[rows] if conditional else None)

    return ImageData(
        key="digits",
        name=f"digits (scikit-learn {import_extra('sklearn').__version__})",
        train=split(slice(None, -400)),
        validation=split(slice(-400, -200)),
        test=split(slice(-200, None)),
        levels=17,
        splits={"train": "first 1397 of a fixed shuffle", "validation": "next 200", "test": "last 200"},
        conditioning_names=tuple("0123456789") if conditional else (),
    )


def photo_patches(size=32, stride=4, conditional=False):
    """Returns the `ImageData` of square crops of scikit-learn's two photographs, uint8 [size, size, 3].

    There is a crop at every `stride`-th row and column. Splits share no pixel, because each takes its own columns of
    the photographs. With the defaults there are 21,186 crops to train and 1,782 in each of the others. Neighbouring
    crops overlap, so a split holds less information than its number of crops suggests.

    Args:
      size: int in [1, 64], pixels.
      stride: int, pixels from one crop to the next, at least 1.
      conditional: must be False, because there are no classes.

    Raises:
      ImportError: if scikit-learn or Pillow is missing.
      ValueError: if an argument is out of range.
    """
    refuse_conditional(conditional, "photo_patches")
    check_int("size", size, 1, "the side of a crop in pixels")
    check_int("stride", stride, 1, "the pixels from one crop to the next")
    if size > 64:
        raise ValueError(f"`size`={size}: must be at most 64, the width of the strips that are held out.")
    import_extra("PIL")  # scikit-learn's own message would not name our extra.
    datasets = import_extra("sklearn.datasets")
    photos = [datasets.load_sample_image(name) for name in ("china.jpg", "flower.jpg")]
    crops = {}
    for split, strips in _PHOTO_COLUMNS.items():
        grids = []
        for photo in photos:
            for left, right in strips:
                views = np.lib.stride_tricks.sliding_window_view(photo[:, left:right], (size, size, 3))
                grids.append(views[::stride, ::stride].reshape(-1, size, size, 3))
        images = np.concatenate(grids)
        crops[split] = ArrayImages(images[_fixed_order(len(images))])
    return ImageData(
        key="photo_patches",
        name=f"{size}x{size} crops of china.jpg and flower.jpg (scikit-learn {import_extra('sklearn').__version__})",
        levels=256,
        splits={split: f"columns {strips}, every {stride} pixels" for split, strips in _PHOTO_COLUMNS.items()},
        train=crops["train"],
        validation=crops["validation"],
        test=crops["test"],
    )


def _fixed_order(count):
    # The legacy generator: NumPy promises that its streams never change.
    return np.random.RandomState(0).permutation(count)
