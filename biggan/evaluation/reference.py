"""The real side: moments of all images and features of some, cached by data, extractor and protocol."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from biggan import distributed
from biggan.data import LabelledImages
from biggan.data.dataset import fingerprint
from biggan.evaluation.chunks import Eyes, held, in_chunks
from biggan.evaluation.drawing import BATCH_SIZE
from biggan.files import atomic_write, cache_folder
from biggan.metrics.extractor import Extractor
from biggan.metrics.fid import Moments

VERSION = 1                     # part of the cache's key: raise it when what is stored changes


@dataclass
class Reference:
    """What is known of a set of real images."""

    moments: Moments        # of all of them
    features: Tensor        # (K, F) float32: of K images in random order
    rows: Tensor            # (K,) int64: which


def look_at_reference(
    data: LabelledImages, extractor: Extractor, kept: int, report: Callable[[str], None] = lambda line: None
) -> Reference:
    """The features of real images, of `kept` of them at most, from the cache or seen now (and then cached).

    In several processes all must call it: the others help to look, and get nothing.
    """
    kept = min(kept, len(data))
    key = fingerprint(data.fingerprint, extractor.name, extractor.layer, extractor.fingerprint, kept, VERSION)
    path = cache_folder() / "features" / f"{key}.safetensors"
    with held(path.with_suffix("")):
        found = read(path, report) if distributed.is_first() else None
        if distributed.from_first(found is not None):
            return found or nothing()
        report(f"looking at {len(data):,} real images of {data.source} (once; kept in {path.parent})")
        reference = see(data, extractor, kept, path.with_suffix(""), report)
        if distributed.is_first():
            with atomic_write(path) as temporary:
                save_file(to_tensors(reference), temporary)
    return reference


def see(
    data: LabelledImages, extractor: Extractor, kept: int, folder: Path, report: Callable[[str], None]
) -> Reference:
    """Look at all images of a set; `folder` holds what was seen of it if this is interrupted."""

    def source(first: int, stop: int) -> Iterator[Tensor]:
        for start in range(first, stop, BATCH_SIZE):
            yield torch.from_numpy(np.array(data.images[start : min(start + BATCH_SIZE, stop)]))

    rows, places = _choose(len(data), kept)
    reference, start = nothing(), 0
    for seen in in_chunks(Eyes(extractor), source, len(data), folder, report):
        if not distributed.is_first():
            continue
        if start == 0:
            width = seen.features.shape[1]
            reference = Reference(Moments.empty(width), torch.zeros(kept, width), torch.from_numpy(rows))
        reference.moments.add(seen.features)
        here = torch.from_numpy(places[start : start + len(seen.features)])
        reference.features[here[here < kept]] = seen.features[here < kept]
        start += len(seen.features)
    return reference


def nothing() -> Reference:
    """What the processes that only help know."""
    return Reference(Moments.empty(0), torch.zeros(0, 0), torch.zeros(0, dtype=torch.int64))


def _choose(count: int, kept: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows that are kept, in random order, and the place of every row in that order."""
    order = np.random.default_rng(0).permutation(count)
    return order[:kept], np.argsort(order)


def to_tensors(reference: Reference) -> dict[str, Tensor]:
    """What the cache holds of a reference."""
    moments = reference.moments
    return {
        "count": torch.tensor(moments.count), "total": moments.total, "product": moments.product,
        "features": reference.features, "rows": reference.rows,
    }  # fmt: skip


def read(path: Path, report: Callable[[str], None]) -> Reference | None:
    """A reference from the cache; None if it isn't there or is damaged, which is reported."""
    if not path.is_file():
        return None
    try:
        t = load_file(path)
        return Reference(Moments(int(t["count"]), t["total"], t["product"]), t["features"], t["rows"])
    except (SafetensorError, KeyError) as error:
        report(f"{path} is damaged ({error}); looking at the images again")
        return None
