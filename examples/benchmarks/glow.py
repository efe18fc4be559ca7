"""`tfb.Glow`, TensorFlow Probability's own flow of images, with a given amount of convolution work."""

import math

import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tfp_realnvp import FlowModel

tfb, tfd = tfp.bijectors, tfp.distributions

_STEPS_PER_BLOCK = 8


def glow_model(image_shape, levels, multiplications):
    """Returns a compiled `FlowModel` around `tfb.Glow` with TFP's default networks, as wide as the work allows.

    Args:
      image_shape: (H, W, C).
      levels: int, pixels lie in [0, levels).
      multiplications: int, how many the convolutions of all networks do for one image in one evaluation.
    """
    trial = _Networks(hidden=1)
    _glow(image_shape, trial)
    # With h hidden channels the work is c + a h + b h ** 2: c for the exits, a h for the 3x3 convolutions, and b h ** 2
    # for the 1x1 convolutions between them.
    b = sum(height * width for height, width, _ in trial.couplings)
    a = sum(3 * 9 * height * width * channels for height, width, channels in trial.couplings)
    c = sum(2 * 9 * height * width * channels * out for height, width, channels, out in trial.exits)
    hidden = (math.sqrt(a**2 + 4 * b * max(0, multiplications - c)) - a) / (2 * b)
    networks = _Networks(hidden=max(8, 8 * round(hidden / 8)))
    pixels = tfb.Chain([tfb.Scale(float(levels)), tfb.Shift(0.5), _glow(image_shape, networks)])
    prior = tfd.Sample(tfd.Normal(0.0, 1.0), sample_shape=math.prod(image_shape))
    model = FlowModel(tfd.TransformedDistribution(prior, pixels), levels=levels, l2=0.0)
    # Glow holds its networks in closures, so `distribution.trainable_variables` lacks their variables; Keras finds them
    # here.
    model.networks = networks.all
    model.compile(tf_keras.optimizers.Adam(1e-3, epsilon=1e-8, global_clipnorm=100.0))
    return model


class _Networks:
    """Makes Glow's networks and keeps them, with the shapes [H, W, C] that Glow asks for."""

    def __init__(self, hidden):
        self.hidden = hidden
        self.all, self.couplings, self.exits = [], [], []

    def coupling(self, shape):
        self.couplings.append(tuple(int(size) for size in shape))
        self.all.append(tfb.GlowDefaultNetwork(shape, num_hidden=self.hidden))
        return self.all[-1]

    def exit(self, shape, output_chan):
        self.exits.append((*(int(size) for size in shape), int(output_chan)))
        self.all.append(tfb.GlowDefaultExitNetwork(shape, output_chan))
        return self.all[-1]


def _glow(image_shape, networks):
    """Returns a `tfb.Glow` of three blocks, or fewer if the image can't be halved as often."""
    height, width, _ = image_shape
    blocks = next(n for n in (3, 2, 1) if height % 2**n == 0 and width % 2**n == 0)
    return tfb.Glow(
        output_shape=tf.TensorShape(image_shape),
        num_glow_blocks=blocks,
        num_steps_per_block=_STEPS_PER_BLOCK,
        coupling_bijector_fn=networks.coupling,
        exit_bijector_fn=networks.exit,
        seed=0,
    )
