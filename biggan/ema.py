"""The moving average of G's weights, from which images are drawn."""

import torch
from torch import nn


def ramped_decay(decay: float, batch_size: int, images: int, rampup: float) -> float:
    """The decay of one step, `images` after averaging began (Karras et al. 2020, ADA, appendix B).

    The average's half-life is at most `rampup` x `images`, so that a short run's average forgets its
    beginning; 0 is no ramp-up: the paper's constant decay.
    """
    if rampup == 0:
        return decay
    return min(decay, 0.5 ** (batch_size / (rampup * images))) if images > 0 else 0.0


@torch.no_grad()
def update_ema(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Average <- decay * average + (1 - decay) * network, for parameters; buffers are copied.

    Spectral norm's u follows the network's. Batch statistics of the raw network are wrong for the
    average; recompute them before sampling (`sampling.standing_statistics`).
    """
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - decay)
    for target, source in zip(average.buffers(), network.buffers(), strict=True):
        target.copy_(source)
