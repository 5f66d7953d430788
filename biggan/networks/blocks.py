"""The residual blocks of BigGAN and BigGAN-deep (Brock et al. 2019, figures 15 and 16).

A block's shortcut is where the two differ: BigGAN changes the width by a 1x1 convolution, BigGAN-deep
by dropping channels in G and by adding some in D. A 1x1 convolution commutes with nearest-neighbour
upsampling and with average pooling, so those of the shortcuts run at the low resolution.

ReLUs and sums of maps are out of place. What they read is freed at once, so the peak of memory is the same, and
PyTorch's kernels for bf16 on a CPU take longer in place (docs/speed.md).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from biggan.networks.layers import (
    AffineBatchNorm2d,
    ConditionalBatchNorm2d,
    SpectralConv2d,
    SpectralOptions,
)
from biggan.networks.resample import (
    conv3x3,
    conv3x3_downsample,
    downsample,
    first_channels,
    upsample,
    upsample_conv3x3,
)

BOTTLENECK = 4      # BigGAN-deep's 3x3 convolutions see a quarter of the channels


def batch_norm(
    channels: int, condition_dim: int, bn_eps: float, sn: SpectralOptions
) -> ConditionalBatchNorm2d | AffineBatchNorm2d:
    """A batch norm with gain and bias by condition or, where there is no condition, learned."""
    if condition_dim == 0:
        return AffineBatchNorm2d(channels, eps=bn_eps)
    return ConditionalBatchNorm2d(channels, condition_dim, bn_eps=bn_eps, sn=sn)


class GBlock(nn.Module):
    """Twice the resolution: cBN-ReLU-upsample-conv3x3 then cBN-ReLU-conv3x3, plus the shortcut.

    The shortcut is upsample-conv1x1, in every block, also where the width stays.
    """

    def __init__(
        self,
        in_channels: int,               # channels of x
        out_channels: int,              # channels of the result
        condition_dim: int,             # size of the vector that sets gains and biases
        bn_eps: float,                  # epsilon of batch normalisation
        norm_sn: SpectralOptions,       # spectral normalisation of gains and biases
        sn: SpectralOptions,            # spectral normalisation of the convolutions
    ) -> None:
        super().__init__()
        self.bn1 = batch_norm(in_channels, condition_dim, bn_eps, norm_sn)
        self.bn2 = batch_norm(out_channels, condition_dim, bn_eps, norm_sn)
        self.conv1 = SpectralConv2d(in_channels, out_channels, 3, sn=sn)
        self.conv2 = SpectralConv2d(out_channels, out_channels, 3, sn=sn)
        self.shortcut = SpectralConv2d(in_channels, out_channels, 1, sn=sn)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:                  # x (B, in, H, W)
        h = F.relu(self.bn1(x, condition))
        h = upsample_conv3x3(h, self.conv1.normalized_weight(), self.conv1.bias)    # (B, out, 2H, 2W)
        h = F.relu(self.bn2(h, condition))
        h = self.conv2(h)
        return h + upsample(self.shortcut(x))                                   # (B, out, 2H, 2W)


class DeepGBlock(nn.Module):
    """cBN-ReLU-conv four times, 1x1 3x3 3x3 1x1, the middle ones narrow, plus the shortcut.

    The shortcut keeps the first channels; StudioGAN's is a 1x1 convolution. Where the block
    upsamples, it does so before the first 3x3 convolution.
    """

    def __init__(
        self,
        in_channels: int,               # channels of x
        out_channels: int,              # channels of the result
        condition_dim: int,             # size of the vector that sets gains and biases
        bn_eps: float,                  # epsilon of batch normalisation
        norm_sn: SpectralOptions,       # spectral normalisation of gains and biases
        sn: SpectralOptions,            # spectral normalisation of the convolutions
        upsample: bool,                 # double the resolution
        studiogan: bool,                # StudioGAN's variant instead of the paper's
    ) -> None:
        super().__init__()
        self.upsample, self.out_channels = upsample, out_channels
        hidden = max(in_channels // BOTTLENECK, 1)
        self.bn1 = batch_norm(in_channels, condition_dim, bn_eps, norm_sn)
        self.bn2 = batch_norm(hidden, condition_dim, bn_eps, norm_sn)
        self.bn3 = batch_norm(hidden, condition_dim, bn_eps, norm_sn)
        self.bn4 = batch_norm(hidden, condition_dim, bn_eps, norm_sn)
        self.conv1 = SpectralConv2d(in_channels, hidden, 1, sn=sn)
        self.conv2 = SpectralConv2d(hidden, hidden, 3, sn=sn)
        self.conv3 = SpectralConv2d(hidden, hidden, 3, sn=sn)
        self.conv4 = SpectralConv2d(hidden, out_channels, 1, sn=sn)
        self.shortcut = SpectralConv2d(in_channels, out_channels, 1, sn=sn) if studiogan else None

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:                  # x (B, in, H, W)
        h = self.conv1(F.relu(self.bn1(x, condition)))                          # (B, in/4, H, W)
        h = F.relu(self.bn2(h, condition))
        conv2 = upsample_conv3x3 if self.upsample else conv3x3
        h = conv2(h, self.conv2.normalized_weight(), self.conv2.bias)           # (B, in/4, 2H, 2W)
        h = self.conv3(F.relu(self.bn3(h, condition)))
        h = self.conv4(F.relu(self.bn4(h, condition)))                          # (B, out, 2H, 2W)
        x = first_channels(x, self.out_channels) if self.shortcut is None else self.shortcut(x)
        return h + (upsample(x) if self.upsample else x)


class DBlock(nn.Module):
    """ReLU-conv3x3-ReLU-conv3x3-avgpool, plus the shortcut conv1x1-avgpool where anything changes.

    The first block of D sees the image itself and so has no first ReLU. Where neither resolution nor
    width changes the shortcut is the identity.
    """

    def __init__(
        self,
        in_channels: int,               # channels of x
        out_channels: int,              # channels of the result
        hidden_channels: int,           # channels between the convolutions
        downsample: bool,               # halve the resolution
        preactivation: bool,            # begin with a ReLU: all blocks but the first
        rectified_shortcut: bool,       # the shortcut sees that ReLU too
        sn: SpectralOptions,            # spectral normalisation
    ) -> None:
        super().__init__()
        self.downsample = downsample
        self.preactivation = preactivation
        self.rectified_shortcut = rectified_shortcut
        self.conv1 = SpectralConv2d(in_channels, hidden_channels, 3, sn=sn)
        self.conv2 = SpectralConv2d(hidden_channels, out_channels, 3, sn=sn)
        changes = downsample or in_channels != out_channels
        self.shortcut = SpectralConv2d(in_channels, out_channels, 1, sn=sn) if changes else None

    def forward(self, x: Tensor) -> Tensor:                                     # x (B, in, H, W)
        h = F.relu(x) if self.preactivation else x
        x = h if self.rectified_shortcut else x
        h = F.relu(self.conv1(h))                                               # (B, hidden, H, W)
        if self.downsample:
            h = conv3x3_downsample(h, self.conv2.normalized_weight(), self.conv2.bias)
            x = downsample(x)
        else:
            h = self.conv2(h)
        return h + (x if self.shortcut is None else self.shortcut(x))           # (B, out, H/2, W/2)


class DeepDBlock(nn.Module):
    """ReLU-conv four times, 1x1 3x3 3x3 1x1, the middle ones narrow, plus the shortcut.

    Where the width grows the shortcut keeps all channels and adds the missing ones by a 1x1
    convolution. Where the block downsamples, it does so after the last ReLU. StudioGAN's variant
    downsamples before it, and its shortcut is a 1x1 convolution wherever anything changes.
    """

    def __init__(
        self,
        in_channels: int,               # channels of x
        out_channels: int,              # channels of the result
        downsample: bool,               # halve the resolution
        studiogan: bool,                # StudioGAN's variant instead of the paper's
        rectified_shortcut: bool,       # the shortcut sees the first ReLU too
        sn: SpectralOptions,            # spectral normalisation
    ) -> None:
        super().__init__()
        self.downsample = downsample
        self.studiogan = studiogan
        self.rectified_shortcut = rectified_shortcut
        hidden = max(out_channels // BOTTLENECK, 1)
        self.conv1 = SpectralConv2d(in_channels, hidden, 1, sn=sn)
        self.conv2 = SpectralConv2d(hidden, hidden, 3, sn=sn)
        self.conv3 = SpectralConv2d(hidden, hidden, 3, sn=sn)
        self.conv4 = SpectralConv2d(hidden, out_channels, 1, sn=sn)
        changes = in_channels != out_channels or (studiogan and downsample)
        made = out_channels if studiogan else out_channels - in_channels
        self.shortcut = SpectralConv2d(in_channels, made, 1, sn=sn) if changes else None

    def forward(self, x: Tensor) -> Tensor:                                     # x (B, in, H, W)
        h = F.relu(x)
        x = h if self.rectified_shortcut else x
        h = F.relu(self.conv1(h))                                               # (B, out/4, H, W)
        h = F.relu(self.conv2(h))
        h = self.conv3(h)
        if self.downsample:
            h = downsample(h if self.studiogan else F.relu(h))                  # (B, out/4, H/2, W/2)
            x = downsample(x)
        h = self.conv4(F.relu(h))                                               # (B, out, H/2, W/2)
        if self.shortcut is not None:
            made = self.shortcut(x)
            x = made if self.studiogan else torch.cat([x, made], dim=1)
        return h + x
