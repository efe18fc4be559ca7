"""What whole flows have in common: pixels at one end, and images of any size that their squeezes divide."""

from typing import Any

import tensorflow as tf
import tf_keras

from tfp_realnvp.bijectors.composition import Composition
from tfp_realnvp.checks import check_channels, check_divisible


class ImageFlow(Composition):
    """A `Composition` between latents and pixels, both [..., H, W, C], in which every squeeze is undone.

    Attributes:
      channels: C.
      num_scales: how many parts `split_latents` finds in the latents.
      num_squeezes: how often the deepest level is squeezed.
    """

    channels: int
    num_scales: int
    num_squeezes: int

    @property
    def size_divisor(self) -> int:
        """Height and width of images must be multiples of this."""
        return 2**self.num_squeezes

    def _forward_event_shape_tensor(self, shape: tf.Tensor) -> tf.Tensor:
        return shape  # Every squeeze is undone, so that the parts need not be asked one by one in each graph.

    _inverse_event_shape_tensor = _forward_event_shape_tensor

    def _check_shape(self, what: str, shape: tf.TensorShape) -> None:
        what, divisor = f"{self.name}: {what}", self.size_divisor
        check_channels(what, shape, self.channels)
        squeezes = "num_scales" if self.num_squeezes == self.num_scales else "(num_scales - 1)"
        rule = (
            f"height and width must be divisible by 2 ** {squeezes} = {divisor}; resize or crop the images, or "
            f"lower `num_scales`={self.num_scales}"
        )
        check_divisible(what, shape, (divisor, divisor, 1), rule)


def policy_compute_dtype(dtype: Any) -> tf.DType | None:
    """Returns the compute dtype of Keras' policy, if the policy is a mixed one for variables of `dtype`."""
    policy = tf_keras.mixed_precision.global_policy()
    mixed = policy.compute_dtype != policy.variable_dtype == tf.as_dtype(dtype).name
    return tf.as_dtype(policy.compute_dtype) if mixed else None
