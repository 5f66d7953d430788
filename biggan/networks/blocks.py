"""The residual blocks of BigGAN (Brock et al. 2019, figure 15)."""

import torch.nn.functional as F
from torch import Tensor, nn

from biggan.networks.layers import ConditionalBatchNorm2d, SpectralConv2d
from biggan.networks.resample import conv3x3_downsample, downsample, upsample, upsample_conv3x3


class GBlock(nn.Module):
    """Twice the resolution: cBN-ReLU-upsample-conv3x3 then cBN-ReLU-conv3x3, plus the shortcut.

    The shortcut is upsample-conv1x1, in every block, also where the width stays. A 1x1 convolution
    commutes with upsampling, so it runs at the low resolution.
    """

    def __init__(
        self,
        in_channels: int,       # channels of x
        out_channels: int,      # channels of the result
        condition_dim: int,     # size of the vector that sets gains and biases
        bn_eps: float,          # epsilon of batch normalisation
        sn_eps: float,          # epsilon of spectral normalisation
    ) -> None:
        super().__init__()
        self.bn1 = ConditionalBatchNorm2d(in_channels, condition_dim, bn_eps=bn_eps, sn_eps=sn_eps)
        self.bn2 = ConditionalBatchNorm2d(out_channels, condition_dim, bn_eps=bn_eps, sn_eps=sn_eps)
        self.conv1 = SpectralConv2d(in_channels, out_channels, 3, eps=sn_eps)
        self.conv2 = SpectralConv2d(out_channels, out_channels, 3, eps=sn_eps)
        self.shortcut = SpectralConv2d(in_channels, out_channels, 1, eps=sn_eps)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:                  # x (B, in, H, W)
        h = F.relu(self.bn1(x, condition))
        h = upsample_conv3x3(h, self.conv1.normalized_weight(), self.conv1.bias)    # (B, out, 2H, 2W)
        h = F.relu(self.bn2(h, condition))
        h = self.conv2(h)
        return h + upsample(self.shortcut(x))                                   # (B, out, 2H, 2W)


class DBlock(nn.Module):
    """ReLU-conv3x3-ReLU-conv3x3-avgpool, plus the shortcut conv1x1-avgpool where anything changes.

    The first block of D sees the image itself and so has no first ReLU. Where neither resolution nor
    width changes the shortcut is the identity. A 1x1 convolution commutes with average pooling, so
    it runs at the low resolution.
    """

    def __init__(
        self,
        in_channels: int,       # channels of x
        out_channels: int,      # channels of the result, and between the convolutions ("wide")
        downsample: bool,       # halve the resolution
        preactivation: bool,    # begin with a ReLU: all blocks but the first
        sn_eps: float,          # epsilon of spectral normalisation
    ) -> None:
        super().__init__()
        self.downsample = downsample
        self.preactivation = preactivation
        self.conv1 = SpectralConv2d(in_channels, out_channels, 3, eps=sn_eps)
        self.conv2 = SpectralConv2d(out_channels, out_channels, 3, eps=sn_eps)
        self.shortcut = (
            SpectralConv2d(in_channels, out_channels, 1, eps=sn_eps)
            if downsample or in_channels != out_channels
            else None
        )

    def forward(self, x: Tensor) -> Tensor:                                     # x (B, in, H, W)
        h = F.relu(x) if self.preactivation else x
        h = F.relu(self.conv1(h))                                               # (B, out, H, W)
        if self.downsample:
            h = conv3x3_downsample(h, self.conv2.normalized_weight(), self.conv2.bias)
            x = downsample(x)
        else:
            h = self.conv2(h)
        return h + (x if self.shortcut is None else self.shortcut(x))           # (B, out, H/2, W/2)
