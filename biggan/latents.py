"""Latents and labels, each a pure function of a seed and an index.

Notable:
- Every draw comes from a counter-based generator (Philox), addressed by (seed, stream, index). The
  loop therefore stores no generator state: image k of step t is the same number after a resume, in
  another micro-batch and on another process.
- Normal variates come from the inverse distribution function, one uniform each. So the truncated
  laws need no rejection loop, and one seed seen at several truncations is one image, moving.

Deliberately absent: `torch.manual_seed`. Nothing here reads or moves global state.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from biggan.errors import UserError


class Stream(enum.IntEnum):
    """What a draw is for; streams with one seed are independent of each other."""

    IMAGE = 0                   # z of a sampled image: the seed is the image's own
    LABEL = 1                   # y of a sampled image
    D_LATENT = 2                # training, discriminator steps
    D_LABEL = 3
    G_LATENT = 4                # training, generator steps
    G_LABEL = 5
    DATA_ORDER = 6              # permutation of the data set, by epoch
    FLIP = 7                    # horizontal mirroring of real images
    STATISTICS = 8              # standing statistics
    STATISTICS_LABEL = 9
    D_AUGMENT = 10              # augmentation of what D sees in its own steps
    G_AUGMENT = 11              # and in G's
    WATCH = 12                  # what the watchdog looks at
    DATA_DRAW = 13              # class and row of real images, where classes are drawn by a law
    STEP = 32                   # steps away from a picture


@dataclass(frozen=True)
class LatentLaw:
    """The distribution that z is drawn from.

    kind        value   law
    ----------  ------  -----------------------------------------------------------------------
    normal      -       N(0, 1)
    threshold   t > 0   N(0, 1) resampled until |z| <= t: the paper's truncation trick
    truncation  t > 0   t * N(0, 1) resampled until |z| <= 2: TF-Hub's and Hugging Face's law

    The two truncated laws differ: at 0.5 their standard deviations are 0.284 and 0.440.
    """

    kind: str = "normal"
    value: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in ("normal", "threshold", "truncation"):
            raise UserError(f"latent law {self.kind!r} is unknown; use normal, threshold or truncation")
        if not self.value > 0:
            raise UserError(f"--{self.kind} {self.value:g} must be greater than 0")

    def __str__(self) -> str:
        return self.kind if self.kind == "normal" else f"{self.kind} {self.value:g}"

    def from_uniform(self, uniform: Tensor) -> Tensor:
        """Map uniform variates in (0, 1) to latents of this law (inverse distribution function)."""
        if self.kind == "normal":
            return torch.special.ndtri(uniform)
        bound = self.value if self.kind == "threshold" else 2.0
        below = torch.special.ndtr(torch.tensor(-bound, dtype=uniform.dtype))
        z = torch.special.ndtri(below + uniform * (1 - 2 * below)).clamp(-bound, bound)
        return z if self.kind == "threshold" else self.value * z


def to_uniform(normal: Tensor) -> Tensor:
    """Standard normal variates, float64, as the uniform ones in (0, 1) that they come from. Has a gradient."""
    return torch.special.ndtr(normal).clamp(2.0**-54, 1 - 2.0**-53)


def latent_law(truncation: float | None = None, threshold: float | None = None) -> LatentLaw:
    """The law that a pair of optional flags asks for; UserError if both are given."""
    if truncation is not None and threshold is not None:
        raise UserError("--truncation and --threshold are two different laws; give one of them")
    if truncation is not None:
        return LatentLaw("truncation", truncation)
    if threshold is not None:
        return LatentLaw("threshold", threshold)
    return LatentLaw()


def uniforms(seed: int, stream: Stream, start: int, count: int, width: int) -> Tensor:
    """Uniform variates in (0, 1) for the items start .. start + count: (count, width), float64.

    Item i reads words [i * W, (i + 1) * W) of the Philox stream keyed by (seed, stream), where W is
    `width` rounded up to Philox's four words a counter.
    """
    words = -(-width // 4) * 4
    bits = np.random.Philox(key=np.array([seed % 2**64, int(stream)], dtype=np.uint64))
    bits.advance(start * words // 4)
    raw = np.asarray(bits.random_raw(count * words), dtype=np.uint64).reshape(count, words)[:, :width]
    return torch.from_numpy(((raw >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53)


def latents(seed: int, stream: Stream, start: int, count: int, z_dim: int, law: LatentLaw | None = None) -> Tensor:
    """The latents of the items start .. start + count of a stream: (count, z_dim), float32."""
    return (law or LatentLaw()).from_uniform(uniforms(seed, stream, start, count, z_dim)).float()


def labels(
    seed: int, stream: Stream, start: int, count: int, num_classes: int, shares: Tensor | None = None
) -> Tensor:
    """Labels of the items start .. start + count of a stream: (count,), int64.

    Uniform, or each class with its part of `shares` (num_classes,), which add up to 1.
    """
    uniform = uniforms(seed, stream, start, count, 1)[:, 0]
    return (uniform * num_classes).long() if shares is None else pick(shares, uniform)


def pick(shares: Tensor, uniform: Tensor) -> Tensor:
    """The class that each uniform variate falls on, where class k takes shares[k] of (0, 1)."""
    ends = shares.double().cumsum(0)
    return torch.searchsorted(ends / ends[-1], uniform.contiguous(), right=True)


def image_latents(seeds: Sequence[int], z_dim: int, law: LatentLaw | None = None) -> Tensor:
    """One latent for each image seed, whatever batch it is drawn in: (len(seeds), z_dim), float32."""
    rows = [uniforms(seed, Stream.IMAGE, 0, 1, z_dim) for seed in seeds]
    return (law or LatentLaw()).from_uniform(torch.cat(rows)).float()


def image_labels(seeds: Sequence[int], num_classes: int) -> Tensor:
    """One uniform label for each image seed: (len(seeds),), int64."""
    return torch.cat([labels(seed, Stream.LABEL, 0, 1, num_classes) for seed in seeds])
