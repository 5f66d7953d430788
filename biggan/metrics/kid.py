"""Kernel inception distance (Binkowski et al. 2018): unbiased at any number of images, unlike FID.

Subsets, kernel and the order of random numbers are torch-fidelity's, so the same features give its numbers.
The spread over subsets that the field quotes says nothing of the certainty of the mean; the interval does.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

SUBSETS = 100
SUBSET_SIZE = 1000
SEED = 2020                     # torch-fidelity's
BLOCKS = 10
STUDENT_T = 2.262157            # 97.5 % quantile at BLOCKS - 1 degrees of freedom


class KID(NamedTuple):
    """The distance, as the field reports it, and what is known of it."""

    kid: float              # mean of the unbiased estimate over subsets
    kid_std: float          # its standard deviation over subsets
    kid_low: float          # 95 % confidence interval of the mean, from ten disjoint blocks
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
    margin = _margin(real, fake, random)
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
    return (x @ y.T / x.shape[1] + 1) ** 3


def _margin(real: Tensor, fake: Tensor, random: np.random.RandomState) -> float:
    """Half the width of Student's interval of the mean over disjoint blocks of a random order."""
    orders = [torch.from_numpy(random.permutation(len(x))).tensor_split(BLOCKS) for x in (real, fake)]
    largest = SUBSET_SIZE           # the interval of small blocks is wider, not wrong
    blocks = [squared_mmd(real[a[:largest]], fake[b[:largest]]) for a, b in zip(*orders, strict=True)]
    return float(STUDENT_T * np.std(blocks, ddof=1) / BLOCKS**0.5)
