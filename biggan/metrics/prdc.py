"""Precision and recall (Kynkaanniemi et al. 2019), density and coverage (Naeem et al. 2020).

Notable:
- Distances are computed in chunks, so memory is O(chunk x N), not O(N x M).
- They are float64 matrix products: |x|^2 + |y|^2 - 2 x.y loses half of fp32's digits where two images are close,
  and a count changes as a whole.
- Where a distance equals a radius, as in a set against itself, rounding would decide. Differences of
  rounding size count as equal, and equal is outside: the same counts on every machine.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

CHUNK = 1024
PR_NEAREST = 3                  # k of precision and recall, as in their paper
DC_NEAREST = 5                  # k of density and coverage, as in theirs
TIE = 1e-9                      # squared distances nearer to each other than this part are equal
SAME = 1e-12                    # and points nearer than this part of their squared lengths are one point


class PRDC(NamedTuple):
    """Shares of two sets of features in each other's manifolds."""

    precision: float        # share of fakes inside the real manifold
    recall: float           # share of reals inside the fake manifold
    density: float          # mean number of real balls around a fake, over k
    coverage: float         # share of real balls with a fake in them


def prdc(real: Tensor, fake: Tensor, pr_nearest: int = PR_NEAREST, dc_nearest: int = DC_NEAREST) -> PRDC:
    """The four numbers of features (N, F) and (M, F), with balls that reach to the k-th neighbour.

    Each set needs more images than the larger k.
    """
    real, fake = real.double(), fake.double()
    real_pr, real_dc = radii(real, (pr_nearest, dc_nearest))
    (fake_pr,) = radii(fake, (pr_nearest,))
    inside = torch.zeros(len(fake), dtype=torch.bool, device=fake.device)
    balls = torch.zeros((), dtype=torch.int64, device=fake.device)
    recalled, covered = balls.clone(), balls.clone()
    for start, distance in squared_distances(real, fake):                       # (chunk, M)
        rows = slice(start, start + len(distance))
        inside |= (distance < real_pr[rows, None]).any(dim=0)
        recalled += (distance < fake_pr).any(dim=1).sum()
        within = distance < real_dc[rows, None]
        balls += within.sum()
        covered += within.any(dim=1).sum()
    return PRDC(
        precision=float(inside.double().mean()),
        recall=float(recalled) / len(real),
        density=float(balls) / (dc_nearest * len(fake)),
        coverage=float(covered) / len(real),
    )


def radii(features: Tensor, nearest: tuple[int, ...]) -> list[Tensor]:
    """Squared distance from each feature to its k-th neighbour, itself not counted, for each k: (N,) each.

    Less by a rounding's worth, so that what lies on the ball's surface is outside.
    """
    most = max(nearest) + 1
    smallest = [d.topk(most, dim=1, largest=False).values for _, d in squared_distances(features, features)]
    return [torch.cat([s[:, k] for s in smallest]) * (1 - TIE) for k in nearest]


def squared_distances(x: Tensor, y: Tensor) -> Iterator[tuple[int, Tensor]]:
    """|x_i - y_j|^2 of float64 features (N, F) and (M, F), in chunks of rows: (first row, (chunk, M))."""
    y_norms = y.square().sum(dim=1)
    for start in range(0, len(x), CHUNK):
        rows = x[start : start + CHUNK]
        norms = rows.square().sum(dim=1)[:, None] + y_norms
        distance = torch.addmm(norms, rows, y.T, alpha=-2)
        yield start, distance.masked_fill_(distance < SAME * norms, 0.0)
