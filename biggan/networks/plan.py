"""Networks as lists of blocks: what BigGAN and BigGAN-deep differ in, for generator and discriminator.

Blocks between two changes of resolution form a stage; BigGAN has one a stage, BigGAN-deep `g_depth`
and `d_depth`. In G the last block of a stage changes width and resolution, in D the first.
"""

from collections.abc import Sequence
from typing import NamedTuple

from biggan.config import D_DOWNSAMPLES, BigGANConfig


class BlockPlan(NamedTuple):
    """What one residual block is to be."""

    in_channels: int
    out_channels: int
    resample: bool          # doubles the resolution in G, halves it in D
    stage: int              # counted from 0
    attention: bool         # self-attention follows


def generator_blocks(config: BigGANConfig) -> list[BlockPlan]:
    """G's residual blocks, from the first feature map to the image."""
    widths = config.g_channels
    attended = _attended(config.g_attention_stages, config.g_attention, config.g_resolutions)
    depth = config.g_depth if config.deep else 1
    return [
        BlockPlan(
            in_channels=widths[stage],
            out_channels=widths[stage + last],
            resample=last,
            stage=stage,
            attention=last and stage in attended,
        )
        for stage in range(config.doublings)
        for last in [False] * (depth - 1) + [True]
    ]


def discriminator_blocks(config: BigGANConfig) -> list[BlockPlan]:
    """D's residual blocks, from the image, or in BigGAN-deep the stem, to the last feature map."""
    widths = config.d_channels if config.deep else (config.image_channels, *config.d_channels)
    attended = _attended(config.d_attention_stages, config.d_attention, config.d_resolutions)
    depth = config.d_depth if config.deep else 1
    return [
        BlockPlan(
            in_channels=widths[stage + (k > 0)],
            out_channels=widths[stage + 1],
            resample=k == 0 and stage < D_DOWNSAMPLES[config.doublings],
            stage=stage,
            attention=k == depth - 1 and stage in attended,
        )
        for stage in range(len(widths) - 1)
        for k in range(depth)
    ]


def _attended(stages: Sequence[int], resolutions: Sequence[int], known: Sequence[int]) -> set[int]:
    """The stages, from 0, that self-attention follows. Of several with one resolution it is the first."""
    return {stage - 1 for stage in stages} or {known.index(resolution) for resolution in resolutions}
