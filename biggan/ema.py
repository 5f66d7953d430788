"""The moving average of G's weights, from which images are drawn."""

from typing import Literal

import torch
from torch import nn

from biggan.sharding import local

EmaBuffers = Literal["copy", "average"]


def ema_decay(
    images_seen: int,           # the clock after the step
    batch_size: int,            # images of the step
    decay: float,               # the paper's law: a constant decay each step ...
    start: int,                 # ... from this clock on; before it the average is a copy
    half_life: int = 0,         # the other law, in images: 0 for the paper's
    ramp_up: float = 0.05,      # the half-life is at most this part of the clock; 0 for no limit
) -> float:
    """The decay of one step: the paper's constant, or 0.5^(batch / half-life).

    A half-life in images means the same at any batch size, and the ramp keeps the average from
    remembering the initial weights for long (Karras et al. 2020, appendix B).
    """
    if not half_life:
        return decay if images_seen >= start else 0.0
    images = min(half_life, images_seen * ramp_up) if ramp_up else half_life
    return 0.5 ** (batch_size / images)


@torch.no_grad()
def update_ema(average: nn.Module, network: nn.Module, decay: float, buffers: EmaBuffers = "copy") -> None:
    """Average <- decay * average + (1 - decay) * network, for parameters; buffers are copied or averaged.

    Averaging the buffers too, batch statistics and spectral norm's u, is the reference
    implementation's way. Either way the batch statistics of the raw network are wrong for the average:
    recompute them before sampling (`sampling.standing_statistics`).
    """
    ours, theirs = ([local(parameter) for parameter in some.parameters()] for some in (average, network))
    torch._foreach_lerp_(ours, theirs, 1 - decay)
    for target, source in zip(average.buffers(), network.buffers(), strict=True):
        if buffers == "average" and target.is_floating_point():
            target.lerp_(source, 1 - decay)
        else:
            target.copy_(source)
