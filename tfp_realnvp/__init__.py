"""Real NVP for images as an extension of TensorFlow Probability.

Direction: `forward` maps latents to images, `inverse` images to latents (the paper's f).
"""

from tfp_realnvp.adam import Adam
from tfp_realnvp.batch_norm import FlowBatchNorm, RunningStatistics
from tfp_realnvp.conditioners import CouplingNetwork
from tfp_realnvp.coupling import AffineCoupling
from tfp_realnvp.factor_out import FactorOut
from tfp_realnvp.image_bijector import Composition, ImageBijector
from tfp_realnvp.latents import interpolate_on_sphere, join_latents, manifold, resample_latents, split_latents
from tfp_realnvp.likelihood import bits_per_dim, importance_weighted_bits_per_dim
from tfp_realnvp.masks import ChannelHalves, Checkerboard
from tfp_realnvp.pixel_logit import PixelLogit, dequantize, quantize
from tfp_realnvp.real_nvp_image import PRESETS, RealNVPImage
from tfp_realnvp.recalibration import recalibrate, training_mode_bits_per_dim
from tfp_realnvp.residual_network import ResidualNetwork
from tfp_realnvp.saving import load_flow, save_flow
from tfp_realnvp.serving import export_saved_model
from tfp_realnvp.squeeze import Squeeze
from tfp_realnvp.training import FlowModel

__all__ = [
    "PRESETS",
    "Adam",
    "AffineCoupling",
    "ChannelHalves",
    "Checkerboard",
    "Composition",
    "CouplingNetwork",
    "FactorOut",
    "FlowBatchNorm",
    "FlowModel",
    "ImageBijector",
    "PixelLogit",
    "RealNVPImage",
    "ResidualNetwork",
    "RunningStatistics",
    "Squeeze",
    "bits_per_dim",
    "dequantize",
    "export_saved_model",
    "importance_weighted_bits_per_dim",
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
__version__ = "0.1.0"
