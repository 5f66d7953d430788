"""The order in which real images are shown: a pure function of (seed, place).

law       part of class k, which has n_k images
--------  ---------------------------------------------------------------------
natural   n_k / n: each image once an epoch
sqrt      sqrt(n_k) / sum of sqrt(n_j): a compromise for classes of unlike sizes
balanced  1 / number of classes: rare images are shown often
"""

import functools
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from biggan.data.dataset import LabelledImages
from biggan.latents import Stream, pick, uniforms

LabelLaw = Literal["natural", "balanced", "sqrt"]


def class_shares(counts: NDArray[np.int64], law: LabelLaw) -> Tensor:
    """The part of each class under a law: (classes,), float64, adding up to 1. A class without images gets none."""
    n = torch.from_numpy(counts).double()
    weights = {"natural": n, "sqrt": n.sqrt(), "balanced": (n > 0).double()}[law]
    return weights / weights.sum()


def real_indices(seed: int, start: int, count: int, data: LabelledImages, law: LabelLaw) -> NDArray[np.int64]:
    """Rows shown at the places start .. start + count of an endless sequence.

    By the natural law each epoch is a permutation of all rows (`sample_indices`). By another each place draws
    a class by its part and then one of its rows, with replacement.
    """
    if law == "natural":
        return sample_indices(seed, start, count, len(data))
    uniform = uniforms(seed, Stream.DATA_DRAW, start, count, 2)
    classes = pick(class_shares(data.class_counts(), law), uniform[:, 0]).tolist()
    rows = data.rows_by_class
    return np.array([rows[k][int(u * len(rows[k]))] for k, u in zip(classes, uniform[:, 1].tolist(), strict=True)])


def sample_indices(seed: int, start: int, count: int, size: int) -> NDArray[np.int64]:
    """Rows shown at the places start .. start + count of an endless, epoch-wise shuffled sequence.

    Place p belongs to epoch p // size, and each epoch is its own permutation of the `size` rows. So
    every row is shown once an epoch, and any place can be entered directly.
    """
    places = np.arange(start, start + count, dtype=np.int64)
    epochs = places // size
    rows = np.empty(count, dtype=np.int64)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        rows[here] = _permutation(seed, int(epoch), size)[places[here] % size]
    return rows


@functools.lru_cache(maxsize=2)
def _permutation(seed: int, epoch: int, size: int) -> NDArray[np.int64]:
    return np.argsort(uniforms(seed, Stream.DATA_ORDER, epoch, 1, size)[0].numpy(), kind="stable").astype(np.int64)
