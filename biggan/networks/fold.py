"""Weights divided by their singular values once, for as long as nobody changes them.

In evaluation mode W / sigma is the same in every forward pass, and computing it is a pass over all
weights, or several. Within `folded` it is computed once and kept, in the precision of the forward passes.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from biggan.networks.layers import SpectralConv2d, SpectralNorm


@contextmanager
def folded(network: nn.Module, dtype: torch.dtype | None = None) -> Iterator[None]:
    """Within the block the network, in evaluation mode, uses weights W / sigma computed at its beginning.

    dtype  of the convolutions' weights, such as bfloat16 under its autocast, which would cast them at
           each use; by default their own

    A change of the weights within the block is not seen. Inside another such block it does nothing.
    """
    layers = [module for module in network.modules() if isinstance(module, SpectralNorm)]
    if any(layer.training for layer in layers):
        raise RuntimeError("weights are folded in evaluation mode only")
    fresh = [layer for layer in layers if layer.folded is None]
    try:
        with torch.no_grad():
            for layer in fresh:
                weight = layer.normalized_weight().detach()     # a layer without spectral norm has a parameter there
                layer.folded = weight.to(dtype or weight.dtype) if isinstance(layer, SpectralConv2d) else weight
        yield
    finally:
        for layer in fresh:
            layer.folded = None
