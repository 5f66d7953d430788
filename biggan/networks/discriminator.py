"""D: from an image and a label to a logit (projection discriminator, Miyato and Koyama 2018)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from biggan.config import BigGANConfig
from biggan.networks.blocks import DBlock
from biggan.networks.init import orthogonal_init
from biggan.networks.layers import SelfAttention2d, SpectralEmbedding, SpectralLinear, channels_last


class Discriminator(nn.Module):
    """D(x, y): x (B, image_channels, R, R) in [-1, 1], y (B,) int64 -> logits (B,).

    With h the last feature map, rectified and summed over positions:
    D(x, y) = w . h + b + e_y . h. Without y only the first two terms: an unconditional score.
    """

    def __init__(self, config: BigGANConfig) -> None:
        super().__init__()
        widths = (config.image_channels, *config.d_channels)
        resolutions = (config.resolution, *config.d_resolutions)
        eps = config.sn_eps
        self.blocks = nn.ModuleList(
            DBlock(
                widths[i],
                widths[i + 1],
                downsample=resolutions[i + 1] < resolutions[i],
                preactivation=i > 0,
                sn_eps=eps,
            )
            for i in range(len(widths) - 1)
        )
        # A resolution that several blocks share gets one attention layer, after the first of them.
        self.attention = nn.ModuleDict(
            {
                str(i): SelfAttention2d(widths[i + 1], eps=eps)
                for i in range(len(widths) - 1)
                if resolutions[i + 1] in config.d_attention and resolutions[i + 1] < resolutions[i]
            }
        )
        self.linear = SpectralLinear(widths[-1], 1, eps=eps)
        self.class_projection = SpectralEmbedding(config.num_classes, widths[-1], eps=eps)
        orthogonal_init(self)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        h = channels_last(x)
        for i, block in enumerate(self.blocks):
            h = block(h)                                                        # (B, C, H/2, W/2)
            if str(i) in self.attention:
                h = self.attention[str(i)](h)
        h = F.relu(h)
        h = h.sum(dim=(2, 3), dtype=torch.promote_types(h.dtype, torch.float32))    # (B, C)
        with torch.autocast(h.device.type, enabled=False):
            logits = self.linear(h).squeeze(1)                                  # (B,)
            if y is not None:
                logits = logits + (self.class_projection(y) * h).sum(dim=1)
            return logits
