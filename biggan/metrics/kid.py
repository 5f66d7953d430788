"""Kernel inception distance (Binkowski et al. 2018): unbiased at any number of images, unlike FID.

Subsets, kernel and the order of random numbers are torch-fidelity's, so the same features give its numbers.
The spread over subsets that the field quotes says nothing of the certainty of the mean; the interval does. It is
of the jackknife: how much the estimate moves when a tenth of the images is left out.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

SUBSETS = 100
SUBSET_SIZE = 1000
SEED = 2020                     # torch-fidelity's
BLOCKS = 10
JACKKNIFE_MOST = 5000           # images of each side, for the interval only: it costs their square
STUDENT_T = 2.262157            # 97.5 % quantile at BLOCKS - 1 degrees of freedom


class KID(NamedTuple):
    """The distance, as the field reports it, and what is known of it."""

    kid: float              # mean of the unbiased estimate over subsets
    kid_std: float          # its standard deviation over subsets
    kid_low: float          # 95 % confidence interval of the mean
    kid_high: float


def kid(real: Tensor, fake: Tensor, *, subsets: int = SUBSETS, subset_size: int = SUBSET_SIZE) -> KID:
    """KID of features (N, F) and (M, F), over random subsets of at most `subset_size` of each.

    Of fewer images than that the subset is all of them. Each side needs 2 x BLOCKS images at least.
    """
    real, fake = real.double(), fake.double()
    size = min(subset_size, len(real), len(fake))
    random = np.random.RandomState(SEED)
    estimates = []
    for _ in range(subsets):
        some_fake = fake[torch.from_numpy(random.choice(len(fake), size, replace=False))]
        some_real = real[torch.from_numpy(random.choice(len(real), size, replace=False))]
        estimates.append(squared_mmd(some_real, some_fake))
    mean, std = float(np.mean(estimates)), float(np.std(estimates))
    margin = STUDENT_T * standard_error(real[:JACKKNIFE_MOST], fake[:JACKKNIFE_MOST])
    return KID(mean, std, mean - margin, mean + margin)


def squared_mmd(x: Tensor, y: Tensor) -> float:
    """The unbiased estimate of MMD^2 of (m, F) and (n, F) under the kernel (x.y / F + 1)^3."""
    m, n = len(x), len(y)
    k_xx, k_yy, k_xy = kernel(x, x), kernel(y, y), kernel(x, y)
    of_x = (k_xx.sum() - k_xx.trace()) / (m * (m - 1))
    of_y = (k_yy.sum() - k_yy.trace()) / (n * (n - 1))
    return float(of_x + of_y - 2 * k_xy.mean())


def kernel(x: Tensor, y: Tensor) -> Tensor:
    """(x.y / F + 1)^3: (m, n)."""
    base = (x @ y.T).div_(x.shape[1]).add_(1)
    return base * base * base


def standard_error(x: Tensor, y: Tensor) -> float:
    """The jackknife's standard error of the unbiased MMD^2 of (m, F) and (n, F), BLOCKS of either left out in turn.

    The images must be in random order. Every pair's kernel is taken once, as sums over pairs of blocks.
    """
    xs, ys = x.tensor_split(BLOCKS), y.tensor_split(BLOCKS)
    xx = torch.stack([torch.stack([_pairs(a, b, i == j) for j, b in enumerate(xs)]) for i, a in enumerate(xs)])
    yy = torch.stack([torch.stack([_pairs(a, b, i == j) for j, b in enumerate(ys)]) for i, a in enumerate(ys)])
    xy = torch.stack([torch.stack([_pairs(a, b, False) for b in ys]) for a in xs])
    estimates = []
    for left_out in range(BLOCKS):
        m, n = len(x) - len(xs[left_out]), len(y) - len(ys[left_out])
        within = [_without(sums, left_out) for sums in (xx, yy, xy)]
        estimates.append(within[0] / (m * (m - 1)) + within[1] / (n * (n - 1)) - 2 * within[2] / (m * n))
    return float(torch.stack(estimates).std(correction=0) * (BLOCKS - 1) ** 0.5)


def _pairs(a: Tensor, b: Tensor, same: bool) -> Tensor:
    """The sum of the kernel over pairs of different images."""
    k = kernel(a, b)
    return k.sum() - k.trace() if same else k.sum()


def _without(sums: Tensor, block: int) -> Tensor:
    """The sum of a matrix (BLOCKS, BLOCKS) without one row and column."""
    return sums.sum() - sums[block].sum() - sums[:, block].sum() + sums[block, block]
