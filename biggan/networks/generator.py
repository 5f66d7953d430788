"""G: from a latent and a label to an image (Brock et al. 2019, figure 15 and tables 4 to 6)."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from biggan.config import BigGANConfig
from biggan.networks.blocks import GBlock
from biggan.networks.init import orthogonal_init
from biggan.networks.layers import (
    AffineBatchNorm2d,
    BatchNorm2d,
    SelfAttention2d,
    SpectralConv2d,
    SpectralLinear,
    channels_last,
)


class Generator(nn.Module):
    """G(z, y): z (B, z_dim), y (B,) int64 -> images (B, image_channels, R, R) in [-1, 1].

    z is split into chunks (skip-z): the first enters the linear layer, alone; each of the others
    joins the class embedding as the condition of one block's batch norms. The class embedding is
    not spectrally normalised.
    """

    def __init__(self, config: BigGANConfig) -> None:
        super().__init__()
        widths, eps = config.g_channels, config.sn_eps
        chunk = config.z_dim // config.z_chunks
        self.z_chunks = config.z_chunks
        self.base_resolution = config.base_resolution
        self.shared_embedding = nn.Embedding(config.num_classes, config.shared_dim)
        self.linear = SpectralLinear(chunk, widths[0] * config.base_resolution**2, eps=eps)
        self.blocks = nn.ModuleList(
            GBlock(widths[i], widths[i + 1], config.shared_dim + chunk, config.bn_eps, eps)
            for i in range(len(widths) - 1)
        )
        self.attention = nn.ModuleDict(
            {
                str(i): SelfAttention2d(widths[i + 1], eps=eps)
                for i, resolution in enumerate(config.g_resolutions)
                if resolution in config.g_attention
            }
        )
        self.output_bn = AffineBatchNorm2d(widths[-1], eps=config.bn_eps)
        self.output_conv = SpectralConv2d(widths[-1], config.image_channels, 3, eps=eps)
        orthogonal_init(self)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        return self.synthesize(z, self.shared_embedding(y))

    def synthesize(self, z: Tensor, embedding: Tensor) -> Tensor:
        """Images from z (B, z_dim) and class embeddings (B, shared_dim), which may be mixtures."""
        first, *others = z.chunk(self.z_chunks, dim=1)
        h = self.linear(first).unflatten(1, (-1, self.base_resolution, self.base_resolution))
        h = channels_last(h)                                                    # (B, C, 4, 4)
        for i, (block, chunk) in enumerate(zip(self.blocks, others, strict=True)):
            h = block(h, torch.cat([embedding, chunk], dim=1))                  # (B, C, 2H, 2W)
            if str(i) in self.attention:
                h = self.attention[str(i)](h)
        h = F.relu(self.output_bn(h))
        h = self.output_conv(h)                                                 # (B, image_channels, R, R)
        return torch.tanh(h.to(torch.promote_types(h.dtype, torch.float32)))

    def batch_norms(self) -> Iterator[tuple[str, BatchNorm2d]]:
        """The names and modules that hold batch statistics."""
        for name, module in self.named_modules():
            if isinstance(module, BatchNorm2d):
                yield name, module
