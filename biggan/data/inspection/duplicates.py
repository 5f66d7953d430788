"""Images that are there twice: the same pixels, or nearly the same picture.

Near pairs have hashes that differ in at most DISTANCE of 64 bits. To find them without comparing all pairs,
the bits are cut into seven chunks. Four differing bits spoil at most four of them, so a pair agrees in at
least three: for each choice of three chunks the images are sorted by those bits, and neighbours with the
same ones are compared (multi-index hashing; Norouzi, Punjani and Fleet 2012). A pair counts if its
thumbnails agree as well.
"""

import itertools

import numpy as np
from numpy.typing import NDArray

DISTANCE = 4            # bits of 64; always an even number differs, as half of them are set
CHUNKS = 7
WINDOW = 32             # neighbours compared, where very many have the same bits
ALIKE = 3.0             # largest mean difference of two thumbnails, of 255
ALIKE_COLOUR = 4        # largest difference of their mean colours

_BITS = np.array([bin(byte).count("1") for byte in range(256)], dtype=np.uint8)


def exact_groups(records: NDArray[np.void]) -> list[NDArray[np.int64]]:
    """Rows of readable images with the same pixels, each group in order."""
    rows = np.flatnonzero(records["error"] == b"")
    order = rows[np.argsort(records["digest"][rows], kind="stable")]
    digests = records["digest"][order]
    cuts = np.flatnonzero(digests[1:] != digests[:-1]) + 1
    return sorted((group for group in np.split(order, cuts) if len(group) > 1), key=lambda group: int(group[0]))


def near_pairs(records: NDArray[np.void]) -> NDArray[np.int64]:
    """Pairs of rows (M, 2) of nearly the same picture; of exact copies only the first is compared."""
    rows = np.flatnonzero((records["error"] == b"") & ~records["blank"])
    rows = rows[np.sort(np.unique(records["digest"][rows], return_index=True)[1])]
    pairs = close_hashes(records["hash"][rows])
    kept = [_alike(records, rows[some]) for some in np.array_split(pairs, len(pairs) // 100_000 + 1)]
    return np.concatenate(kept)


def close_hashes(hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Pairs (M, 2) of indices, the smaller first, whose hashes differ in at most DISTANCE bits."""
    edges = np.linspace(0, 64, CHUNKS + 1).astype(int).tolist()
    chunks = [(1 << high) - (1 << low) for low, high in itertools.pairwise(edges)]
    found = [np.zeros(0, np.int64)]
    for chosen in itertools.combinations(chunks, CHUNKS - DISTANCE):
        keys = hashes & np.uint64(sum(chosen))
        order = np.lexsort((hashes, keys))
        keys = keys[order]
        for step in range(1, min(WINDOW, len(order) - 1) + 1):
            same = np.flatnonzero(keys[:-step] == keys[step:])
            if not len(same):
                break
            a, b = order[same], order[same + step]
            close = difference(hashes[a], hashes[b]) <= DISTANCE
            found.append(np.minimum(a, b)[close] * len(hashes) + np.maximum(a, b)[close])
    codes = np.unique(np.concatenate(found))
    return np.stack([codes // max(len(hashes), 1), codes % max(len(hashes), 1)], axis=1)


def difference(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Number of bits in which two hashes differ."""
    return _BITS[(a ^ b).view(np.uint8).reshape(-1, 8)].sum(axis=1, dtype=np.int64)


def _alike(records: NDArray[np.void], pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """The pairs whose thumbnails and mean colours agree."""
    a, b = (records[pairs[:, n]] for n in range(2))
    shapes = np.abs(a["thumb"].astype(np.int16) - b["thumb"]).mean(axis=(1, 2))
    colours = np.abs(a["colour"].astype(np.int16) - b["colour"]).max(axis=1, initial=0)
    return pairs[(shapes <= ALIKE) & (colours <= ALIKE_COLOUR)]
