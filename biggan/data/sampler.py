"""The order in which real images are shown: a pure function of (seed, place)."""

import functools

import numpy as np
from numpy.typing import NDArray

from biggan.latents import Stream, uniforms


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
