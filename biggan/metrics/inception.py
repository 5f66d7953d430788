"""The `inception` extractor: the Inception network of 2015-12-05 in which the field measures FID, KID and IS.

It is Google's TensorFlow graph, not torchvision's Inception v3: average pooling leaves the padding out of
its count, the last block pools by maximum, there are 1,008 classes, and images are resized as TensorFlow 1 does,
without half-pixel centres and without antialiasing. The weights are those that torch-fidelity
publishes; `biggan.metrics.inception_weights` finds them.

Deliberately absent: the auxiliary head, dropout and training, which features don't need.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from biggan.errors import UserError
from biggan.metrics.extractor import Features

SIZE = 299
CLASSES = 1008
AVERAGE, MAXIMUM, SHRINK = "average", "maximum", "shrink"      # poolings over 3 x 3; the last with stride 2
LAYERS = {"64": 64, "192": 192, "768": 768, "pool3": 2048}     # named by width, as elsewhere, but for the standard one


class Conv(NamedTuple):
    """A convolution of a block: its name in the weight file, output channels and kernel."""

    name: str
    channels: int
    kernel: int | tuple[int, int]
    stride: int = 1


# What one input goes through on its way to the concatenation: convolutions and poolings in turn. The
# convolutions of a tuple stand side by side.
Path = list[Conv | str | tuple[Conv, ...]]


class ConvNorm(nn.Module):
    """Convolution without bias, batch norm, ReLU. Strided ones are not padded, others keep the size."""

    def __init__(self, inputs: int, conv: Conv, padded: bool) -> None:
        super().__init__()
        height, width = (conv.kernel, conv.kernel) if isinstance(conv.kernel, int) else conv.kernel
        padding = (height // 2, width // 2) if padded else (0, 0)
        self.conv = nn.Conv2d(inputs, conv.channels, (height, width), conv.stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(conv.channels, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, channels, H', W')."""
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Block(nn.Module):
    """Several paths over one input (N, inputs, H, W), their outputs concatenated along channels."""

    def __init__(self, inputs: int, *paths: Path) -> None:
        super().__init__()
        self.paths = paths
        for path in paths:
            channels = inputs
            for step in path:
                convs = () if isinstance(step, str) else (step,) if isinstance(step, Conv) else step
                for conv in convs:
                    self.add_module(conv.name, ConvNorm(channels, conv, padded=conv.stride == 1))
                channels = sum(conv.channels for conv in convs) or channels

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, all channels, H', W')."""
        return torch.cat([self._walk(path, x) for path in self.paths], dim=1)

    def _walk(self, path: Path, x: Tensor) -> Tensor:
        for step in path:
            if step == AVERAGE:
                x = F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
            elif step == MAXIMUM:
                x = F.max_pool2d(x, 3, stride=1, padding=1)
            elif step == SHRINK:
                x = F.max_pool2d(x, 3, stride=2)
            elif isinstance(step, Conv):
                x = self.get_submodule(step.name)(x)
            else:
                x = torch.cat([self.get_submodule(conv.name)(x) for conv in step if isinstance(conv, Conv)], dim=1)
        return x


def block_a(inputs: int, pooled: int) -> Block:
    """35 x 35: 224 + `pooled` channels."""
    return Block(
        inputs,
        [Conv("branch1x1", 64, 1)],
        [Conv("branch5x5_1", 48, 1), Conv("branch5x5_2", 64, 5)],
        [Conv("branch3x3dbl_1", 64, 1), Conv("branch3x3dbl_2", 96, 3), Conv("branch3x3dbl_3", 96, 3)],
        [AVERAGE, Conv("branch_pool", pooled, 1)],
    )


def block_b(inputs: int) -> Block:
    """35 x 35 to 17 x 17: 480 + `inputs` channels."""
    return Block(
        inputs,
        [Conv("branch3x3", 384, 3, 2)],
        [Conv("branch3x3dbl_1", 64, 1), Conv("branch3x3dbl_2", 96, 3), Conv("branch3x3dbl_3", 96, 3, 2)],
        [SHRINK],
    )


def block_c(inputs: int, inner: int) -> Block:
    """17 x 17, kernels of 7 in one direction at a time: 768 channels."""
    across, down = (1, 7), (7, 1)
    return Block(
        inputs,
        [Conv("branch1x1", 192, 1)],
        [Conv("branch7x7_1", inner, 1), Conv("branch7x7_2", inner, across), Conv("branch7x7_3", 192, down)],
        [
            Conv("branch7x7dbl_1", inner, 1),
            Conv("branch7x7dbl_2", inner, down), Conv("branch7x7dbl_3", inner, across),
            Conv("branch7x7dbl_4", inner, down), Conv("branch7x7dbl_5", 192, across),
        ],
        [AVERAGE, Conv("branch_pool", 192, 1)],
    )  # fmt: skip


def block_d(inputs: int) -> Block:
    """17 x 17 to 8 x 8: 512 + `inputs` channels."""
    return Block(
        inputs,
        [Conv("branch3x3_1", 192, 1), Conv("branch3x3_2", 320, 3, 2)],
        [
            Conv("branch7x7x3_1", 192, 1), Conv("branch7x7x3_2", 192, (1, 7)), Conv("branch7x7x3_3", 192, (7, 1)),
            Conv("branch7x7x3_4", 192, 3, 2),
        ],
        [SHRINK],
    )  # fmt: skip


def block_e(inputs: int, pool: str) -> Block:
    """8 x 8: 2,048 channels."""
    across, down = (1, 3), (3, 1)
    return Block(
        inputs,
        [Conv("branch1x1", 320, 1)],
        [Conv("branch3x3_1", 384, 1), (Conv("branch3x3_2a", 384, across), Conv("branch3x3_2b", 384, down))],
        [
            Conv("branch3x3dbl_1", 448, 1), Conv("branch3x3dbl_2", 384, 3),
            (Conv("branch3x3dbl_3a", 384, across), Conv("branch3x3dbl_3b", 384, down)),
        ],
        [pool, Conv("branch_pool", 192, 1)],
    )  # fmt: skip


class Inception(nn.Module):
    """Images (N, C, H, W) uint8 to features (N, 2048) and logits (N, 1008).

    `layer` is one of LAYERS; all are means over positions. The logits are without the bias, as the
    inception score's original code has them. Gray images are repeated three times; of RGBA, what shows on white.
    """

    name: str = "inception"
    resizer: str = "bilinear as TensorFlow 1's, to 299 x 299, not antialiased; (x - 128) / 128"

    def __init__(self, layer: str = "pool3") -> None:
        super().__init__()
        if layer not in LAYERS:
            raise UserError(f"the inception extractor has no layer {layer!r}; use one of {', '.join(LAYERS)}")
        self.layer = layer
        self.fingerprint = "random"             # until weights are loaded
        self.Conv2d_1a_3x3 = ConvNorm(3, Conv("", 32, 3, 2), padded=False)
        self.Conv2d_2a_3x3 = ConvNorm(32, Conv("", 32, 3), padded=False)
        self.Conv2d_2b_3x3 = ConvNorm(32, Conv("", 64, 3), padded=True)
        self.Conv2d_3b_1x1 = ConvNorm(64, Conv("", 80, 1), padded=False)
        self.Conv2d_4a_3x3 = ConvNorm(80, Conv("", 192, 3), padded=False)
        self.Mixed_5b = block_a(192, pooled=32)
        self.Mixed_5c = block_a(256, pooled=64)
        self.Mixed_5d = block_a(288, pooled=64)
        self.Mixed_6a = block_b(288)
        self.Mixed_6b = block_c(768, inner=128)
        self.Mixed_6c = block_c(768, inner=160)
        self.Mixed_6d = block_c(768, inner=160)
        self.Mixed_6e = block_c(768, inner=192)
        self.Mixed_7a = block_d(768)
        self.Mixed_7b = block_e(1280, pool=AVERAGE)
        self.Mixed_7c = block_e(2048, pool=MAXIMUM)
        self.fc = nn.Linear(2048, CLASSES)
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> Features:
        """Features of uint8 images, on the module's device."""
        weight = self.fc.weight
        x = (resize_like_tensorflow(to_rgb(images.to(weight.device, weight.dtype))) - 128) / 128    # (N, 3, 299, 299)
        seen = {}
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))               # (N, 64, 147, 147)
        seen["64"] = x = F.max_pool2d(x, 3, stride=2)                                   # (N, 64, 73, 73)
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x))                                   # (N, 192, 71, 71)
        seen["192"] = x = F.max_pool2d(x, 3, stride=2)                                  # (N, 192, 35, 35)
        x = self.Mixed_6a(self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x))))               # (N, 768, 17, 17)
        seen["768"] = x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(x))))
        seen["pool3"] = x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))              # (N, 2048, 8, 8)
        logits = F.linear(x.mean(dim=(2, 3)), weight)
        return Features(seen[self.layer].mean(dim=(2, 3)), logits)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Features:
        """The same without gradients and on the CPU."""
        features, logits = self.forward(images)
        return Features(features.float().cpu(), logits.float().cpu())


def to_rgb(images: Tensor) -> Tensor:
    """Images (N, C, H, W) in 0 to 255 of 1, 3 or 4 channels as (N, 3, H, W)."""
    if images.shape[1] == 4:
        alpha = images[:, 3:] / 255
        return (images[:, :3] * alpha + 255 * (1 - alpha)).round()
    return images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images


def resize_like_tensorflow(x: Tensor, size: int = SIZE) -> Tensor:
    """Bilinear interpolation (N, C, H, W) to (N, C, size, size), as TensorFlow 1 does by default.

    Output pixel i lies at i * H / size of the input, so corners and centres don't meet; each row and each
    column is a mean of two neighbours. PyTorch's own modes put pixel centres at i + 1/2.
    """
    low, high, part = _neighbours(x.shape[3], size, x)
    left, right = x[..., low], x[..., high]
    x = left + (right - left) * part            # torch.lerp rounds in another way
    low, high, part = _neighbours(x.shape[2], size, x)
    top, bottom = x[:, :, low], x[:, :, high]
    return top + (bottom - top) * part[:, None]


def _neighbours(inputs: int, outputs: int, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The two input places of each output place, and how far it lies towards the second. In fp32, as there."""
    scale = torch.tensor(inputs / outputs, dtype=torch.float32, device=like.device)
    place = torch.arange(outputs, dtype=torch.float32, device=like.device) * scale
    low = place.long().clamp(max=inputs - 1)
    return low, (low + 1).clamp(max=inputs - 1), (place - low).to(like.dtype)
