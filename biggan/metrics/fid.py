"""Frechet inception distance (Heusel et al. 2017, eq. 6), from moments that accumulate over batches.

Notable: two Gaussians need a mean and a covariance each, so any number of images takes the memory of one
F x F matrix, and several processes add their sums.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Moments:
    """Sums over features, in float64 on the CPU, that give their mean and covariance."""

    count: int              # N
    total: Tensor           # (F,): sum of x
    product: Tensor         # (F, F): sum of x x^T

    @classmethod
    def empty(cls, width: int) -> "Moments":
        """Of no features, F = `width`."""
        return cls(0, torch.zeros(width, dtype=torch.float64), torch.zeros(width, width, dtype=torch.float64))

    @classmethod
    def of(cls, features: Tensor) -> "Moments":
        """Of features (N, F)."""
        moments = cls.empty(features.shape[1])
        for part in features.split(4096):
            moments.add(part)
        return moments

    def add(self, features: Tensor) -> None:
        """Take in features (N, F)."""
        x = features.to("cpu", torch.float64)
        self.count += len(x)
        self.total += x.sum(dim=0)
        self.product.addmm_(x.T, x)

    @property
    def mean(self) -> Tensor:
        """(F,)."""
        return self.total / self.count

    @property
    def covariance(self) -> Tensor:
        """(F, F), with N - 1 as the divisor. Its rank is below F unless N > F."""
        return (self.product - torch.outer(self.total, self.mean)) / (self.count - 1)


def frechet_distance(a: Moments, b: Moments) -> float:
    """|mu_a - mu_b|^2 + Tr(S_a + S_b - 2 (S_a S_b)^(1/2)).

    With S = R R^T the trace of the root is the sum of the singular values of R_a^T R_b: no root of a matrix that
    isn't symmetric, and exact where a covariance is singular.
    """
    covariances = a.covariance, b.covariance
    roots = [_root(covariance) for covariance in covariances]
    cross = torch.linalg.svdvals(roots[0].T @ roots[1]).sum()
    distance = (a.mean - b.mean).square().sum() + sum(covariance.trace() for covariance in covariances) - 2 * cross
    return max(float(distance), 0.0)        # a set against itself may come out at -1e-14


def fid(real: Tensor, fake: Tensor) -> float:
    """The distance between features (N, F) and (M, F)."""
    return frechet_distance(Moments.of(real), Moments.of(fake))


def _root(covariance: Tensor) -> Tensor:
    """R (F, F) with R R^T the covariance."""
    values, vectors = torch.linalg.eigh(covariance)
    return vectors * values.clamp(min=0).sqrt()
