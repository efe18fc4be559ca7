"""Binary masks of a coupling: 1 marks the part that conditions, 0 the part that changes (paper, section 3.4).

A mask is a callable `mask(event_shape, dtype)` that returns a tensor which broadcasts against [H, W, C]. It is called
with the shape at hand, so that one coupling serves images of any size. The paper has two masks, `Checkerboard` and
`ChannelHalves`. A constant array of zeros and ones, or any other callable of this form, will do as well.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

Mask = Callable[[Sequence[Any], tf.DType], tf.Tensor] | np.ndarray | float


class Checkerboard:
    """Alternating pixels: 1 where (row + column + parity) is even.

    >>> Checkerboard(parity=0)((2, 3, 1))[..., 0].numpy()
    array([[1., 0., 1.],
           [0., 1., 0.]], dtype=float32)
    """

    spatial = True

    def __init__(self, parity: int = 0) -> None:
        """Args: parity: 0 conditions on the pixels with row + column even, 1 on the others."""
        self.parity = _check_parity(parity)

    def __call__(self, event_shape: Sequence[Any], dtype: tf.DType = tf.float32) -> tf.Tensor:
        """Returns the [H, W, 1] mask for `event_shape` = (H, W, C), static or a tensor."""
        height, width = event_shape[0], event_shape[1]
        if isinstance(height, int) and isinstance(width, int):
            # A NumPy constant costs nothing at run time; the branch below is for sizes known only then.
            plane = np.add.outer(np.arange(height), np.arange(width))
            return tf.constant(((plane + self.parity + 1) % 2)[..., np.newaxis], dtype)
        plane = tf.range(height)[:, tf.newaxis] + tf.range(width)
        return tf.cast((plane + self.parity + 1) % 2, dtype)[..., tf.newaxis]

    def conditioning_channels(self, channels: int) -> slice:
        """Returns the slice of the channels that hold pixels that condition: all of them."""
        return slice(0, channels)

    changed_channels = conditioning_channels

    @property
    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"parity": self.parity}

    def __repr__(self) -> str:
        return f"Checkerboard(parity={self.parity})"


class ChannelHalves:
    """One half of the channels: 1 on the first half for parity 0, on the second half for parity 1.

    If the number of channels is odd, the first half has one channel less.

    >>> ChannelHalves(parity=1)((1, 1, 4)).numpy()
    array([0., 0., 1., 1.], dtype=float32)
    """

    spatial = False

    def __init__(self, parity: int = 0) -> None:
        """Args: parity: 0 conditions on the first half of the channels, 1 on the second."""
        self.parity = _check_parity(parity)

    def __call__(self, event_shape: Sequence[Any], dtype: tf.DType = tf.float32) -> tf.Tensor:
        """Returns the [C] mask for `event_shape` = (H, W, C); C must be static."""
        mask = np.zeros(event_shape[2])
        mask[self.conditioning_channels(event_shape[2])] = 1
        return tf.constant(mask, dtype)

    def conditioning_channels(self, channels: int) -> slice:
        """Returns the slice of the channels that condition."""
        return self._half(channels, self.parity)

    def changed_channels(self, channels: int) -> slice:
        """Returns the slice of the channels that change."""
        return self._half(channels, 1 - self.parity)

    @staticmethod
    def _half(channels: int, which: int) -> slice:
        if channels < 2:
            raise ValueError(
                f"`channels`={channels}: a channel-wise mask needs at least 2 channels to split; squeeze the image "
                "first or use a checkerboard mask."
            )
        return slice(channels // 2, channels) if which else slice(0, channels // 2)

    @property
    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"parity": self.parity}

    def __repr__(self) -> str:
        return f"ChannelHalves(parity={self.parity})"


def evaluate_mask(mask: Mask, event_shape: Sequence[Any], dtype: tf.DType) -> tf.Tensor:
    """Returns `mask` (a callable or a constant array) as a tensor for images of `event_shape`."""
    result = mask(event_shape, dtype) if callable(mask) else tf.cast(mask, dtype)
    static = tf.TensorShape([s if isinstance(s, int) else None for s in event_shape])
    try:
        fits = tf.broadcast_static_shape(result.shape, static).is_compatible_with(static)
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"`mask` has shape {result.shape}: must broadcast against [H, W, C]={static} of the images; give "
            "a callable such as `Checkerboard()` to serve images of any size."
        )
    return result


def image_shape(x: tf.Tensor) -> tuple[Any, ...]:
    """Returns [H, W, C] of `x` [..., H, W, C]: Python ints where static, else scalar tensors."""
    dynamic = tf.shape(x)
    return tuple(s if s is not None else dynamic[i - 3] for i, s in enumerate(x.shape[-3:].as_list()))


def check_mask(mask: Any) -> None:
    """Raises TypeError or ValueError if `mask` is neither a callable nor an array of zeros and ones."""
    if isinstance(mask, type):
        raise TypeError(f"`mask`={mask!r}: is a class; pass an instance, {mask.__name__}().")
    if callable(mask):
        return
    if mask is None or isinstance(mask, str):
        raise TypeError(f"`mask`={mask!r}: must be a callable such as `Checkerboard()`, or an array of zeros and ones.")
    values = tf.get_static_value(tf.convert_to_tensor(mask))
    if values is not None and not np.isin(values, (0, 1)).all():
        raise ValueError(
            f"`mask` holds values like {values[~np.isin(values, (0, 1))][0]}: must hold zeros and ones only, else a "
            "coupling can't be inverted; round it or compare it with a threshold."
        )


def _check_parity(parity: Any) -> int:
    if not isinstance(parity, int | np.integer) or parity not in (0, 1):
        raise ValueError(f"`parity`={parity!r}: must be 0 or 1; 1 exchanges the two parts of the mask.")
    return int(parity)
