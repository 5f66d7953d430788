"""G: from a latent and a label to an image (Brock et al. 2019, tables 4 to 9, figures 15 and 16).

BigGAN-deep is the same network with other blocks, two a resolution, and with another answer to where
z and the class go; `plan` has the list of blocks.
"""

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from biggan.config import BigGANConfig
from biggan.networks.blocks import DeepGBlock, GBlock
from biggan.networks.init import exclude_spectral_norm, initialize, spectral_options
from biggan.networks.layers import (
    AffineBatchNorm2d,
    BatchNorm2d,
    Embedding,
    SelfAttention2d,
    SpectralConv2d,
    SpectralLinear,
    SpectralOptions,
    channels_last,
)
from biggan.networks.plan import BlockPlan, generator_blocks
from biggan.networks.recompute import recomputed


class Generator(nn.Module):
    """G(z, y): z (B, z_dim), y (B,) int64 -> images (B, image_channels, H, W) in [-1, 1].

    skip_z      into the linear layer    into the condition of stage i's batch norms
    ----------  -----------------------  -------------------------------------------
    chunks      the first chunk of z     chunk i + 1
    whole       z                        z
    none        z                        -

    The class joins the condition as a shared embedding or, with a table of gains and biases for each
    norm, as the one-hot label; with linear_input "z+class" its embedding enters the linear layer too.
    The class embedding is not spectrally normalised: that cripples G.
    """

    def __init__(self, config: BigGANConfig) -> None:
        super().__init__()
        widths, plan = config.g_channels, generator_blocks(config)
        sn = spectral_options(config, config.g_spectral_norm)
        self.config = config
        self.checkpoint_activations = False     # compute the blocks' inner activations again for the backward pass
        self.stage_of_block = [row.stage for row in plan]
        if config.has_shared_embedding:
            self.shared_embedding = Embedding(config.num_classes, config.shared_dim)
        self.linear = SpectralLinear(config.linear_dim, widths[0] * math.prod(config.base_shape), sn=sn)
        self.blocks = nn.ModuleList(_block(config, row, sn) for row in plan)
        self.attention = nn.ModuleDict(
            {str(i): SelfAttention2d(row.out_channels, sn=sn) for i, row in enumerate(plan) if row.attention}
        )
        self.output_bn = AffineBatchNorm2d(widths[-1], eps=config.output_bn_eps)
        made = config.output_channels or config.image_channels
        self.output_conv = SpectralConv2d(widths[-1], made, config.output_kernel, sn=sn)
        exclude_spectral_norm(self, "G", config.sn_exclude)
        initialize(self, config.weight_init)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        return self.synthesize(z, self.embed(y))

    def embed(self, y: Tensor) -> Tensor:
        """What `synthesize` takes for labels (B,): embeddings, one-hot rows, or nothing (B, 0)."""
        if self.config.conditioning == "shared":
            return self.shared_embedding(y)
        if self.config.conditioning == "none":
            return self.linear.weight.new_empty(len(y), 0)
        return F.one_hot(y, self.config.num_classes).to(self.linear.weight.dtype)

    def synthesize(self, z: Tensor, embedding: Tensor) -> Tensor:
        """Images from z (B, z_dim) and class embeddings as `embed` gives them, which may be mixtures."""
        first, conditions = self.route(z, embedding)
        run = recomputed if self.checkpoint_activations else nn.Module.__call__
        h = channels_last(self.linear(first).unflatten(1, (-1, *self.config.base_shape)))   # (B, C, 4, 4)
        for i, (block, stage) in enumerate(zip(self.blocks, self.stage_of_block, strict=True)):
            h = run(block, h, conditions[stage])                                # (B, C, 2H, 2W)
            if str(i) in self.attention:
                h = self.attention[str(i)](h)
        h = F.relu(self.output_bn(h))
        kept = self.config.image_channels       # sigma is of all the convolution makes; only the image is computed
        weight, bias = self.output_conv.normalized_weight()[:kept], self.output_conv.bias
        h = F.conv2d(h, weight, bias if bias is None else bias[:kept], padding=self.output_conv.padding)
        return torch.tanh(h.to(torch.promote_types(h.dtype, torch.float32)))    # (B, image_channels, H, W)

    def route(self, z: Tensor, embedding: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The input of the linear layer, and the condition of each stage."""
        stages = len(self.config.g_resolutions)
        if self.config.skip_z == "chunks":
            first, *parts = z.chunk(self.config.z_chunks, dim=1)                # (B, z_dim / chunks) each
        else:
            first, parts = z, [z if self.config.skip_z == "whole" else z[:, :0]] * stages
        if self.config.linear_input == "z+class":
            table = self.shared_embedding.weight
            entering = embedding @ table if self.config.conditioning == "per_class" else embedding
            first = torch.cat([entering, first], dim=1)
        return first, [torch.cat([embedding, part], dim=1) for part in parts]   # (B, condition_dim)

    def batch_norms(self) -> Iterator[tuple[str, BatchNorm2d]]:
        """The names and modules that hold batch statistics."""
        for name, module in self.named_modules():
            if isinstance(module, BatchNorm2d):
                yield name, module


def _block(config: BigGANConfig, row: BlockPlan, sn: SpectralOptions) -> GBlock | DeepGBlock:
    """The block that a row of the plan asks for. A table of gains by class is never normalised."""
    norm_sn = sn._replace(enabled=sn.enabled and config.conditioning != "per_class")
    common = (row.in_channels, row.out_channels, config.condition_dim, config.bn_eps, norm_sn, sn)
    if not config.deep:
        return GBlock(*common)
    return DeepGBlock(*common, upsample=row.resample, studiogan=config.deep_blocks == "studiogan")
