"""D: from an image and a label to a logit (projection discriminator, Miyato and Koyama 2018)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from biggan.config import BigGANConfig
from biggan.networks.blocks import DBlock, DeepDBlock
from biggan.networks.init import exclude_spectral_norm, initialize, spectral_options
from biggan.networks.layers import (
    SelfAttention2d,
    SpectralConv2d,
    SpectralEmbedding,
    SpectralLinear,
    SpectralOptions,
    channels_last,
)
from biggan.networks.plan import BlockPlan, discriminator_blocks
from biggan.networks.recompute import recomputed


class Discriminator(nn.Module):
    """D(x, y): x (B, image_channels, H, W) in [-1, 1], y (B,) int64 -> logits (B,).

    With h the last feature map, rectified and summed over positions:
    D(x, y) = w . h + b + e_y . h. Without y, or without class projection, only the first two terms:
    an unconditional score. BigGAN-deep has other blocks and, before them, a convolution as stem.
    """

    def __init__(self, config: BigGANConfig) -> None:
        super().__init__()
        plan, width = discriminator_blocks(config), config.d_channels[-1]
        sn = spectral_options(config, config.d_spectral_norm)
        self.checkpoint_activations = False     # compute the blocks' inner activations again for the backward pass
        self.stem = SpectralConv2d(config.image_channels, config.d_channels[0], 3, sn=sn) if config.deep else None
        self.blocks = nn.ModuleList(_block(config, row, sn, first=i == 0) for i, row in enumerate(plan))
        self.attention = nn.ModuleDict(
            {str(i): SelfAttention2d(row.out_channels, sn=sn) for i, row in enumerate(plan) if row.attention}
        )
        self.linear = SpectralLinear(width, 1, sn=sn)
        self.class_projection = SpectralEmbedding(config.num_classes, width, sn=sn) if config.d_projection else None
        exclude_spectral_norm(self, "D", config.sn_exclude)
        initialize(self, config.weight_init)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        run = recomputed if self.checkpoint_activations else nn.Module.__call__
        h = channels_last(x)
        if self.stem is not None:
            h = self.stem(h)                                                    # (B, C, H, W)
        for i, block in enumerate(self.blocks):
            h = run(block, h)                                                   # (B, C, H/2, W/2)
            if str(i) in self.attention:
                h = self.attention[str(i)](h)
        h = F.relu(h)
        h = h.sum(dim=(2, 3), dtype=torch.promote_types(h.dtype, torch.float32))    # (B, C)
        with torch.autocast(h.device.type, enabled=False):
            logits = self.linear(h).squeeze(1)                                  # (B,)
            if y is not None and self.class_projection is not None:
                logits = logits + (self.class_projection(y) * h).sum(dim=1)
            return logits


def _block(config: BigGANConfig, row: BlockPlan, sn: SpectralOptions, first: bool) -> DBlock | DeepDBlock:
    """The block that a row of the plan asks for."""
    if config.deep:
        return DeepDBlock(
            row.in_channels,
            row.out_channels,
            downsample=row.resample,
            studiogan=config.deep_blocks == "studiogan",
            rectified_shortcut=config.d_rectified_shortcut,
            sn=sn,
        )
    return DBlock(
        row.in_channels,
        row.out_channels,
        row.out_channels if config.d_hidden == "wide" else row.in_channels,
        downsample=row.resample,
        preactivation=not first,
        rectified_shortcut=config.d_rectified_shortcut,
        sn=sn,
    )
