"""Differentiable augmentation (Zhao et al. 2020): what D sees of real and generated images alike.

Notable:
- Every operation is a function of images and of uniform variates, eight an image, which the caller
  derives from seed, clock and index (`latents.uniforms`). Nothing is drawn here.
- Ranges are the paper's: brightness +-0.5, saturation 0 to 2, contrast 0.5 to 1.5, translation by up to
  1/8, a cutout of half the side. What moves in is 0, the middle of [-1, 1].
- An alpha channel is moved and cut with the others, but `color` leaves it as it is.
- `flip` is not of the paper; it is there for consistency regularization (Zhang et al. 2020).
"""

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor

AugmentName = Literal["color", "translation", "cutout", "flip"]
DRAWS = 8                   # uniform variates an image


def augment(images: Tensor, draws: Tensor, names: Iterable[AugmentName]) -> Tensor:
    """Images (B, C, H, W) changed by the named operations, by uniform variates `draws` (B, 8)."""
    draws = draws.to(images.device, images.dtype)
    for name in names:
        if name == "color":
            images = color(images, draws[:, 0:3])
        elif name == "translation":
            images = translation(images, draws[:, 3:5])
        elif name == "cutout":
            images = cutout(images, draws[:, 5:7])
        else:
            images = flip(images, draws[:, 7])
    return images


def color(x: Tensor, draws: Tensor) -> Tensor:
    """Brightness, saturation and contrast, in that order; draws (B, 3). Gray images have no saturation."""
    if x.shape[1] == 4:
        return torch.cat([color(x[:, :3], draws), x[:, 3:]], dim=1)
    brightness, saturation, contrast = draws[:, :, None, None, None].unbind(1)              # (B, 1, 1, 1) each
    x = x + (brightness - 0.5)
    gray = x.mean(dim=1, keepdim=True)
    x = gray + (x - gray) * (2 * saturation) if x.shape[1] > 1 else x
    middle = x.mean(dim=(1, 2, 3), keepdim=True)
    return middle + (x - middle) * (contrast + 0.5)


def translation(x: Tensor, draws: Tensor, ratio: float = 0.125) -> Tensor:
    """A shift by whole pixels, up to `ratio` of the side each way; draws (B, 2)."""
    H, W = x.shape[2:]
    down = _steps(draws[:, 0], round(H * ratio))                                            # (B,)
    right = _steps(draws[:, 1], round(W * ratio))
    return _moved(_moved(x, down, 2), right, 3)


def _steps(draws: Tensor, most: int) -> Tensor:
    """Uniform whole numbers from -most to most."""
    return (draws * (2 * most + 1)).floor().long() - most


def _moved(x: Tensor, steps: Tensor, dim: int) -> Tensor:
    """Each image moved by its own number of pixels along a dimension, 0 moving in."""
    size = x.shape[dim]
    source = torch.arange(size, device=x.device) - steps[:, None]                           # (B, size)
    inside = (source >= 0) & (source < size)
    shape = [len(x), 1, 1, 1]
    shape[dim] = size
    index = source.clamp(0, size - 1).view(shape).expand_as(x)
    return x.gather(dim, index) * inside.view(shape)


def cutout(x: Tensor, draws: Tensor, ratio: float = 0.5) -> Tensor:
    """A rectangle of `ratio` of each side set to 0, its centre anywhere in the image; draws (B, 2)."""
    hidden = torch.ones((), dtype=torch.bool, device=x.device)
    for dim in (2, 3):
        size, cut = x.shape[dim], round(x.shape[dim] * ratio)
        centre = (draws[:, dim - 2] * (size + 1 - cut % 2)).floor().view(-1, 1, 1, 1)
        first = centre - cut // 2                                                           # (B, 1, 1, 1)
        place = torch.arange(size, device=x.device).view([-1 if d == dim else 1 for d in range(4)])
        hidden = hidden & (place >= first) & (place < first + cut)
    return x * ~hidden


def flip(x: Tensor, draws: Tensor) -> Tensor:
    """Half of the images mirrored; draws (B,)."""
    return torch.where((draws < 0.5).view(-1, 1, 1, 1), x.flip(3), x)
