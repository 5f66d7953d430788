"""Weight initialisation."""

from torch import nn


def orthogonal_init(network: nn.Module) -> None:
    """Give every convolution, linear map and embedding an orthogonal weight (Saxe et al. 2014).

    It acts on the raw weight, which is the one that spectral norm divides. Biases keep PyTorch's
    default. On the meta device nothing is computed.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.Embedding) and not module.weight.is_meta:
            nn.init.orthogonal_(module.weight)
