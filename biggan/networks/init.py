"""Weight initialisation, and the last word on which layers are spectrally normalised."""

import torch
from torch import Tensor, nn

from biggan.config import BigGANConfig
from biggan.errors import UserError
from biggan.networks.layers import SpectralNorm, SpectralOptions


def spectral_options(config: BigGANConfig, enabled: bool) -> SpectralOptions:
    """The spectral normalisation that the configuration asks of one network."""
    return SpectralOptions(enabled, config.sn_eps, config.sn_iterations, config.sn_evaluation == "stored")


def initialize(network: nn.Module, style: str) -> None:
    """Give every convolution, linear map and embedding its first weight; biases keep PyTorch's default.

    style     weight
    --------  -----------------------------------------
    ortho     orthogonal rows or columns (Saxe et al. 2014)
    normal    N(0, 0.02)
    xavier    uniform, by fan-in and fan-out (Glorot and Bengio 2010)

    It acts on the raw weight, which is the one that spectral norm divides. Where v is stored, u and v
    then take one iteration, since evaluation may come before any training. On the meta device nothing
    is computed.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.Embedding) and not module.weight.is_meta:
            first_weight(module.weight, style)
            if isinstance(module, SpectralNorm) and module.sn.enabled and module.sn.stored:
                with torch.no_grad():
                    module.power_iteration(module.weight.flatten(1), 1)


def first_weight(weight: Tensor, style: str) -> None:
    """Fill one weight by a style of `initialize`, from PyTorch's global generator."""
    if style == "ortho":
        nn.init.orthogonal_(weight)
    elif style == "normal":
        nn.init.normal_(weight, 0, 0.02)
    else:
        nn.init.xavier_uniform_(weight)


def exclude_spectral_norm(network: nn.Module, prefix: str, names: tuple[str, ...]) -> None:
    """Switch spectral norm off in the layers whose dotted name, below `prefix`, has one of `names` in it.

    UserError if a name that begins with this network's prefix fits none of its layers.
    """
    layers = [(f".{prefix}.{path}.", module) for path, module in network.named_modules()]
    for name in names:
        fitting = [layer for path, layer in layers if isinstance(layer, SpectralNorm) and f".{name}." in path]
        if name.startswith(f"{prefix}.") and not fitting:
            raise UserError(f"--sn-exclude {name} fits no layer of {prefix}")
        for layer in fitting:
            layer.disable_spectral_norm()
