"""Precision, recall (Kynkaanniemi et al. 2019), density and coverage (Naeem et al. 2020).

Distances are computed in chunks, so memory is O(chunk x N), not O(N x M).
"""

from typing import NamedTuple

import torch
from torch import Tensor

CHUNK = 1024


class PRDC(NamedTuple):
    """Shares of two sets of features in each other's manifolds."""

    precision: float        # share of fakes inside the real manifold
    recall: float           # share of reals inside the fake manifold
    density: float          # mean number of real balls around a fake, over k
    coverage: float         # share of real balls with a fake in them


def prdc(real: Tensor, fake: Tensor, k: int = 5) -> PRDC:
    """The four numbers of features (N, F) and (M, F), with balls reaching to the k-th neighbour."""
    real, fake = real.double(), fake.double()
    real_radii, fake_radii = radii(real, k), radii(fake, k)
    in_real = torch.zeros(len(fake), dtype=torch.int64, device=fake.device)
    recalled, covered = 0, 0
    for rows, radius in zip(real.split(CHUNK), real_radii.split(CHUNK), strict=True):
        distance = torch.cdist(rows, fake)                                      # (chunk, M)
        inside = distance < radius[:, None]
        in_real += inside.sum(dim=0)
        covered += int(inside.any(dim=1).sum())
        recalled += int((distance < fake_radii).any(dim=1).sum())
    return PRDC(
        precision=float((in_real > 0).double().mean()),
        recall=recalled / len(real),
        density=float(in_real.double().mean() / k),
        coverage=covered / len(real),
    )


def radii(features: Tensor, k: int) -> Tensor:
    """Distance from each feature to its k-th nearest neighbour, itself not counted: (N,)."""
    return torch.cat([torch.cdist(rows, features).kthvalue(k + 1, dim=1).values for rows in features.split(CHUNK)])
