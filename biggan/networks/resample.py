"""Convolutions fused with the resampling beside them: the same numbers for 4/9 of the arithmetic.

Nearest-neighbour upsampling followed by a 3x3 convolution is one transposed 4x4 convolution of
stride 2; a 3x3 convolution followed by 2x2 average pooling is one 4x4 convolution of stride 2.
Both identities are exact, borders included. The 4x4 kernel is the 3x3 kernel convolved with a 2x2
box, so spectral norm, which is taken of the 3x3 kernel, is unaffected.

`plain_*` are the textbook formulations, the tests' reference. They are used where maps are so small that moving
the larger kernel costs more than the arithmetic that it saves.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

FEW = 4096      # positions of a batch of maps, at the low resolution (docs/speed.md)


def widen(kernel: Tensor, flipped: bool = False) -> Tensor:
    """A (..., 3, 3) kernel convolved with a 2x2 box of ones: (..., 4, 4), flipped in both directions if that is asked.

    It is linear in the nine taps: one product with a (9, 16) matrix, in bf16 under autocast, instead of paddings
    and sums in the weights' own precision.
    """
    line = torch.ones(3, 4, dtype=kernel.dtype, device=kernel.device).triu().tril(1)    # convolution with (1, 1)
    line = line.flip(1) if flipped else line
    matrix = line[:, None, :, None] * line[None, :, None, :]                            # (3, 3, 4, 4)
    return (kernel.flatten(-2) @ matrix.reshape(9, 16)).unflatten(-1, (4, 4))


def upsample_conv3x3(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """conv3x3(upsample(x)): x (B, in, H, W), weight (out, in, 3, 3) -> (B, out, 2H, 2W)."""
    form = plain_upsample_conv3x3 if is_small(x) else fused_upsample_conv3x3
    return form(x, weight, bias)


def conv3x3_downsample(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """avgpool2(conv3x3(x)): x (B, in, 2H, 2W), weight (out, in, 3, 3) -> (B, out, H, W)."""
    form = plain_conv3x3_downsample if is_small(x, factor=4) else fused_conv3x3_downsample
    return form(x, weight, bias)


def conv3x3(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Neither up nor down: x (B, in, H, W), weight (out, in, 3, 3) -> (B, out, H, W)."""
    return F.conv2d(x, weight, bias, padding=1)


def upsample(x: Tensor) -> Tensor:
    """Nearest-neighbour upsampling by 2: (B, C, H, W) -> (B, C, 2H, 2W)."""
    return F.interpolate(x, scale_factor=2, mode="nearest")


def downsample(x: Tensor) -> Tensor:
    """Average pooling by 2: (B, C, 2H, 2W) -> (B, C, H, W)."""
    return _Downsample.apply(x)  # type: ignore[no-untyped-call]


class _Downsample(torch.autograd.Function):
    """Average pooling, whose derivative is upsampling; PyTorch's fills it with zeros and adds four times."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 2)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Tensor:
        return upsample(dy / 4)


def first_channels(x: Tensor, count: int) -> Tensor:
    """x[:, :count]: (B, C, H, W) -> (B, count, H, W), as negative padding.

    The gradient of an index is laid out as NCHW, and whatever it is added to after it; that of padding
    keeps channels last.
    """
    return F.pad(x, (0, 0, 0, 0, 0, count - x.shape[1])) if count < x.shape[1] else x


def is_small(x: Tensor, factor: int = 1) -> bool:
    """Whether the textbook form is the faster one: few positions, after division by the factor, in bf16 on a CPU."""
    return x.dtype == torch.bfloat16 and x.device.type == "cpu" and x.numel() // x.shape[1] <= FEW * factor


@contextmanager
def only_fused() -> Iterator[None]:
    """Within the block, of one thread, every size takes the fused form: whose arithmetic is counted, not timed."""
    global FEW
    few, FEW = FEW, 0
    try:
        yield
    finally:
        FEW = few


def fused_upsample_conv3x3(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`upsample_conv3x3` as one transposed convolution."""
    kernel = widen(weight, flipped=True).transpose(0, 1)                        # (in, out, 4, 4)
    if bias is None:
        return F.conv_transpose2d(x, kernel, stride=2, padding=1)
    y = F.conv_transpose2d(x, kernel, bias.detach(), stride=2, padding=1)
    return _BiasGradient.apply(y, bias)  # type: ignore[no-untyped-call]


class _BiasGradient(torch.autograd.Function):
    """y, to which a bias was added already, with the bias's derivative: the sum of dy.

    oneDNN's own, for a transposed convolution, takes as long as all the rest of both passes, or longer.
    """

    @staticmethod
    def forward(ctx: Any, y: Tensor, bias: Tensor) -> Tensor:
        ctx.dtype = bias.dtype
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, Tensor]:
        return dy, dy.sum((2, 3)).sum(0).to(ctx.dtype)


def fused_conv3x3_downsample(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`conv3x3_downsample` as one convolution of stride 2."""
    return F.conv2d(x, widen(weight) / 4, bias, stride=2, padding=1)


def plain_upsample_conv3x3(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`upsample_conv3x3` by the textbook."""
    return F.conv2d(upsample(x), weight, bias, padding=1)


def plain_conv3x3_downsample(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`conv3x3_downsample` by the textbook."""
    return downsample(F.conv2d(x, weight, bias, padding=1))
