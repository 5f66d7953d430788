"""Batch normalisation with a gain and a bias for each image, in as few passes over the maps as there can be.

(x - mean) / sqrt(var + eps) * gain + bias is x * scale + shift with scale and shift of each image and channel. So
forward reads x once for its moments and once for the result, keeps x alone, and the derivative is of that form too:
memory is what this layer costs, on a CPU and on a GPU.

With several processes the moments are of all their images: `nn.SyncBatchNorm` refuses CPU tensors, and what
can't run on a CPU can't be tested everywhere.
"""

from typing import Any

import torch
from torch import Tensor

from biggan import distributed

SUMMED = 1024       # float32 values of a channel that a CPU adds up in one go


def scale_and_shift(mean: Tensor, var: Tensor, gain: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """What normalising, gain and bias are together: (C,) each, or (B, C) where gain and bias are."""
    scale = gain * (var + eps).rsqrt()
    return scale, bias - mean * scale


def multiply_add(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """X * scale + shift: x (B, C, H, W), scale and shift (C,) or (B, C), in x's precision."""
    return torch.addcmul(over_positions(shift, x), x, over_positions(scale, x))


def over_positions(values: Tensor, x: Tensor) -> Tensor:
    """Values a channel, (C,) or (B, C), to be broadcast over x's positions, in its precision."""
    return values[..., None, None].to(x.dtype)


def batch_norm(x: Tensor, gain: Tensor, bias: Tensor, eps: float, everywhere: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Normalised by the batch's own moments: x (B, C, H, W), gain and bias (C,) or (B, C).

    `everywhere` takes the moments over the images of all processes. Returns the result, the mean and the biased
    variance, (C,) each, in float32 or x's float64. The result can be differentiated once.
    """
    return _BatchNorm.apply(x, gain, bias, eps, everywhere)  # type: ignore[no-untyped-call]


def one_pass(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of each channel by the kernel of cross-replica batch norm: one pass, also over bf16."""
    unused = x.new_zeros(x.shape[1], dtype=torch.promote_types(x.dtype, torch.float32))     # its precision is theirs
    mean, var = torch.batch_norm_update_stats(x, unused, unused, 0.0)
    return mean, var


def moments(x: Tensor, everywhere: bool) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of each channel, (C,) each, in float32 or x's float64."""
    if x.device.type == "mps":
        var, mean = torch.var_mean(x.float(), dim=(0, 2, 3), correction=0)
    elif x.device.type == "cpu" and x.dtype == torch.float32:       # a long sum would lose its last digits there
        parts = x.split(max(SUMMED // (x.shape[2] * x.shape[3]), 1))
        means, variances = (torch.stack(rows) for rows in zip(*map(one_pass, parts), strict=True))      # (parts, C)
        share = means.new_tensor([len(part) / len(x) for part in parts])[:, None]
        mean = (share * means).sum(0)
        var = (share * (variances + (means - mean) ** 2)).sum(0)
    else:
        mean, var = one_pass(x)
    if everywhere:
        means, variances = distributed.gather(torch.stack([mean, var])[None]).unbind(1)     # (processes, C)
        mean, var = means.mean(0), variances.mean(0) + means.var(0, correction=0)
    return mean, var


class _BatchNorm(torch.autograd.Function):
    """`batch_norm`, and its derivative.

    With x^ the normalised x, g = dy * gain and <.> the mean over images and positions:

        d bias = sum of dy,   d gain = sum of dy x^,   dx = (g - <g> - x^ <g x^>) / sqrt(var + eps),

    sums over the positions of an image. All of it follows from the sums of dy and of dy x.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, gain: Tensor, bias: Tensor, eps: float, everywhere: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        mean, var = moments(x, everywhere)
        ctx.save_for_backward(x, mean, var, gain)
        ctx.eps, ctx.everywhere, ctx.bias = eps, everywhere, (bias.shape, bias.dtype)
        ctx.mark_non_differentiable(mean, var)
        return multiply_add(x, *scale_and_shift(mean, var, gain, bias, eps)), mean, var

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: Tensor, *unused: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        x, mean, var, gain = ctx.saved_tensors
        shape, dtype = ctx.bias
        B, _, H, W = x.shape
        r = (var + ctx.eps).rsqrt()                                                         # (C,)
        of_dy = dy.sum((2, 3)).to(var.dtype)                                                # (B, C)
        of_product = ((dy * x).sum((2, 3)).to(var.dtype) - mean * of_dy) * r                # (B, C): of dy x^
        means = torch.stack([(gain * of_dy).sum(0), (gain * of_product).sum(0)]) / (B * H * W)
        mean_g, mean_gx = distributed.mean(means) if ctx.everywhere else means              # (C,): <g>, <g x^>
        dx = multiply_add(x, -(r**2) * mean_gx, r * (r * mean * mean_gx - mean_g))
        dx.addcmul_(dy, over_positions(gain * r, x))
        return dx, of_product.sum_to_size(gain.shape).to(gain.dtype), of_dy.sum_to_size(shape).to(dtype), None, None
