"""Real NVP for images as an extension of TensorFlow Probability.

Direction: `forward` maps latents to images, `inverse` images to latents (the paper's f).
"""

from tfp_realnvp.bijectors.act_norm import ActNorm
from tfp_realnvp.bijectors.affine_coupling import AffineCoupling
from tfp_realnvp.bijectors.channel_mixing import ChannelMixing
from tfp_realnvp.bijectors.composition import Composition
from tfp_realnvp.bijectors.factor_out import FactorOut
from tfp_realnvp.bijectors.flow_batch_norm import FlowBatchNorm
from tfp_realnvp.bijectors.image_bijector import ImageBijector
from tfp_realnvp.bijectors.masks import ChannelHalves, Checkerboard
from tfp_realnvp.bijectors.pixel_logit import PixelLogit
from tfp_realnvp.bijectors.squeeze import Squeeze
from tfp_realnvp.flows.glow_image import GlowImage
from tfp_realnvp.flows.real_nvp_image import PRESETS, RealNVPImage
from tfp_realnvp.latents import interpolate_on_sphere, join_latents, manifold, resample_latents, split_latents
from tfp_realnvp.likelihood import bits_per_dim, importance_weighted_bits_per_dim
from tfp_realnvp.networks.coupling_network import CouplingNetwork
from tfp_realnvp.networks.options import NetworkOptions
from tfp_realnvp.networks.plain_network import PlainNetwork
from tfp_realnvp.networks.residual_network import ResidualNetwork
from tfp_realnvp.networks.zero_network import ZeroNetwork
from tfp_realnvp.pixels import dequantize, quantize
from tfp_realnvp.runtime.running_statistics import RunningStatistics
from tfp_realnvp.saving.copies import make_copyable
from tfp_realnvp.saving.export import export_saved_model
from tfp_realnvp.saving.flow_folders import load_flow, save_flow
from tfp_realnvp.saving.known_classes import register
from tfp_realnvp.training.adam import Adam
from tfp_realnvp.training.flow_model import FlowModel
from tfp_realnvp.training.initialization import initialize_from_data
from tfp_realnvp.training.muon import Muon
from tfp_realnvp.training.recalibration import recalibrate, training_mode_bits_per_dim
from tfp_realnvp.version import __version__ as __version__

# What a saved flow may consist of besides TFP's classes and Keras layers.
register(
    ActNorm,
    AffineCoupling,
    ChannelHalves,
    ChannelMixing,
    Checkerboard,
    Composition,
    CouplingNetwork,
    FactorOut,
    FlowBatchNorm,
    GlowImage,
    NetworkOptions,
    PixelLogit,
    PlainNetwork,
    RealNVPImage,
    ResidualNetwork,
    Squeeze,
    ZeroNetwork,
)

make_copyable()

__all__ = [
    "PRESETS",
    "ActNorm",
    "Adam",
    "AffineCoupling",
    "ChannelHalves",
    "ChannelMixing",
    "Checkerboard",
    "Composition",
    "CouplingNetwork",
    "FactorOut",
    "FlowBatchNorm",
    "FlowModel",
    "GlowImage",
    "ImageBijector",
    "Muon",
    "NetworkOptions",
    "PixelLogit",
    "PlainNetwork",
    "RealNVPImage",
    "ResidualNetwork",
    "RunningStatistics",
    "Squeeze",
    "ZeroNetwork",
    "bits_per_dim",
    "dequantize",
    "export_saved_model",
    "importance_weighted_bits_per_dim",
    "initialize_from_data",
    "interpolate_on_sphere",
    "join_latents",
    "load_flow",
    "manifold",
    "quantize",
    "recalibrate",
    "resample_latents",
    "save_flow",
    "split_latents",
    "training_mode_bits_per_dim",
]
