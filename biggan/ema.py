"""The moving average of G's weights, from which images are drawn."""

from typing import Literal

import torch
from torch import nn

EmaBuffers = Literal["copy", "average"]


def ema_decay(
    images_seen: int,           # the clock after the step
    batch_size: int,            # images of the step
    decay: float,               # a constant decay each step: the paper's law
    start: int,                 # until this clock the average is a copy
    half_life: int = 0,         # the other law, in images, which means the same at any batch size
    rampup: float = 0.0,        # the half-life is at most this share of the images since the start; 0 for no limit
) -> float:
    """The decay of one step: the paper's constant, or 0.5^(batch / half-life), from a clock on."""
    since = images_seen - start
    decay = 0.5 ** (batch_size / half_life) if half_life else decay
    return 0.0 if since < 0 else ramped_decay(decay, batch_size, since, rampup)


def ramped_decay(decay: float, batch_size: int, images: int, rampup: float) -> float:
    """The decay of one step, `images` after averaging began (Karras et al. 2020, ADA, appendix B).

    The average's half-life is at most `rampup` x `images`, so that a short run's average forgets its
    beginning; 0 is no ramp-up: the paper's constant decay.
    """
    if rampup == 0:
        return decay
    return min(decay, 0.5 ** (batch_size / (rampup * images))) if images > 0 else 0.0


@torch.no_grad()
def update_ema(average: nn.Module, network: nn.Module, decay: float, buffers: EmaBuffers = "copy") -> None:
    """Average <- decay * average + (1 - decay) * network, for parameters; buffers are copied or averaged.

    Averaging the buffers too, batch statistics and spectral norm's u, is the reference
    implementation's way. Either way the batch statistics of the raw network are wrong for the average:
    recompute them before sampling (`sampling.standing_statistics`).
    """
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - decay)
    for target, source in zip(average.buffers(), network.buffers(), strict=True):
        if buffers == "average" and target.is_floating_point():
            target.lerp_(source, 1 - decay)
        else:
            target.copy_(source)
