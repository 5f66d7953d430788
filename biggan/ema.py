"""The moving average of G's weights, from which images are drawn."""

import torch
from torch import nn


@torch.no_grad()
def update_ema(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Average <- decay * average + (1 - decay) * network, for parameters; buffers are copied.

    Spectral norm's u follows the network's. Batch statistics of the raw network are wrong for the
    average; recompute them before sampling (`sampling.standing_statistics`).
    """
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - decay)
    for target, source in zip(average.buffers(), network.buffers(), strict=True):
        target.copy_(source)
