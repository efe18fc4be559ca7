"""What all networks have in common that stand between a masked image and a coupling's shift and log-scale."""

from typing import Any

import tensorflow as tf

from tfp_realnvp.bijectors.masks import ChannelHalves, Checkerboard
from tfp_realnvp.checks import check_channels, check_int
from tfp_realnvp.keywords import Conditioning, check_conditioning
from tfp_realnvp.networks.options import check_conditioning_size


class Conditioner(tf.Module):
    """Looks at the channels that condition, and answers for those that change.

    Masked images [N, H, W, C] -> [N, H, W, outputs * channels that change]; `AffineCoupling` flattens other batch
    shapes. A subclass writes the hook that maps one to the other:

        _answer(channels that condition, training, update_statistics, conditioning) -> outputs * channels that change

    Attributes:
      num_inputs: the number of channels that condition.
      num_answers: outputs * the number of channels that change, by which `AffineCoupling` knows what the answers are.
    """

    def __init__(
        self,
        mask: Checkerboard | ChannelHalves,
        channels: int,
        *,
        outputs: int = 2,
        conditioning_size: int | None = None,
        name: str = "network",
    ) -> None:
        """Checks the arguments, and builds no variables.

        Args:
          mask: `Checkerboard` or `ChannelHalves`.
          channels: Python int, C.
          outputs: Python int, answers per channel: 2 for shift and log-scale, 1 for an additive coupling.
          conditioning_size: Python int K, or None for an unconditional network.
          name: Python str.

        Raises:
          ValueError, TypeError: for a size out of range, or another mask.
        """
        super().__init__(name=name)
        if not isinstance(mask, Checkerboard | ChannelHalves):
            raise TypeError(f"`mask`={mask!r}: must be a `Checkerboard()` or `ChannelHalves()`, an instance.")
        check_int("channels", channels, 1, meaning="the number of image channels C")
        check_int("outputs", outputs, 1, meaning="the answers per channel")
        check_conditioning_size(conditioning_size)
        self.mask = mask
        self.channels = channels
        self.outputs = outputs
        self.conditioning_size = conditioning_size
        self._conditioning_channels = mask.conditioning_channels(channels)
        changed = mask.changed_channels(channels)
        self.num_inputs = self._conditioning_channels.stop - self._conditioning_channels.start
        self.num_answers = outputs * (changed.stop - changed.start)

    def __call__(
        self, x: tf.Tensor, training: bool = False, update_statistics: bool = True, conditioning: Any = None
    ) -> tf.Tensor:
        """Maps the masked image b * x to shift and log-scale; see `AffineCoupling`."""
        check_channels("images", x.shape, self.channels)
        shape = None if conditioning is None else conditioning.shape
        takes = Conditioning(self.conditioning_size is not None, self.conditioning_size)
        check_conditioning("`conditioning`", shape, takes)
        return self._answer(x[..., self._conditioning_channels], training, update_statistics, conditioning)

    def _answer(self, x: tf.Tensor, training: bool, update_statistics: bool, conditioning: Any) -> tf.Tensor:
        raise NotImplementedError(f"{type(self).__name__}: a conditioner maps inputs to answers in its `_answer`.")
