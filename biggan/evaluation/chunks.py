"""Looking at many images: in chunks that outlive an interruption, shared out among processes.

Chunk c is the images c x 500 and on, whoever makes it: process c mod (number of processes). Batches and chunks
are the same on any number of processes, and so are the numbers. Each chunk is a file in the cache until its
owner removes the folder, so what was seen before an interruption isn't looked at again.
"""

import contextlib
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from biggan import distributed
from biggan.files import atomic_write, exclusive
from biggan.metrics.extractor import Extractor, extract
from biggan.progress import Progress

CHUNK = 500

# (first, stop) to batches of the uint8 images first .. stop.
Source = Callable[[int, int], Iterable[Tensor]]


class Seen(NamedTuple):
    """What is known of some images."""

    features: Tensor        # (N, F) float32
    logits: Tensor          # (N, classes of the extractor) float32
    predicted: Tensor       # (N,) int64: the user's classifier's label; (0,) where nobody asked it


class Eyes:
    """An extractor, and the user's classifier beside it where labels are to be predicted."""

    def __init__(self, extractor: Extractor, classifier: Extractor | None = None) -> None:
        self.extractor, self.classifier = extractor, classifier

    def __call__(self, batches: Iterable[Tensor]) -> Seen:
        """What all images of some batches look like."""
        if self.classifier is None:
            return Seen(*extract(self.extractor, batches), torch.zeros(0, dtype=torch.int64))
        held = list(batches)
        seen = extract(self.extractor, held)
        logits = seen.logits if self.classifier is self.extractor else extract(self.classifier, held).logits
        return Seen(*seen, logits.argmax(dim=1))


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """The folder of an evaluation's chunks, for it alone; removed in the end, unless it was interrupted.

    Another evaluation of the same, at the same time, waits.
    """
    with exclusive(folder, wait=True) if distributed.is_first() else contextlib.nullcontext():
        yield
        if distributed.is_first():
            shutil.rmtree(folder)


def in_chunks(
    eyes: Eyes, source: Source, num: int, folder: Path, report: Callable[[str], None] = lambda line: None
) -> Iterator[Seen]:
    """What `num` images look like, in order and chunk by chunk, in every process."""
    count, world, rank = -(-num // CHUNK), distributed.world_size(), distributed.rank()
    progress = Progress("saw", num, report)     # of all processes, from what this one does
    widths: list[int] = []
    for first in range(0, count, world):
        mine = first + rank
        packed = pack(_chunk(eyes, source, mine, num, folder, progress)) if mine < count else []
        widths = widths or distributed.from_first([part.shape[1] for part in packed])       # it has chunk 0
        padded = torch.zeros(CHUNK, sum(widths))
        if packed:
            padded[: len(packed[0])] = torch.cat(packed, dim=1)
        for chunk, rows in enumerate(distributed.gather(padded).split(CHUNK), first):
            if chunk < count:
                yield unpack(rows[: size_of(chunk, num)].split(widths, dim=1))


def size_of(chunk: int, num: int) -> int:
    """Images of a chunk: the last one may be short."""
    return min(CHUNK, num - chunk * CHUNK)


def pack(seen: Seen) -> list[Tensor]:
    """Float matrices with a row an image."""
    width = 1 if len(seen.predicted) else 0
    return [seen.features, seen.logits, seen.predicted.float().reshape(len(seen.features), width)]


def unpack(parts: Iterable[Tensor]) -> Seen:
    """The inverse of `pack`."""
    features, logits, predicted = (part.clone() for part in parts)
    return Seen(features, logits, predicted.flatten().long())


def _chunk(eyes: Eyes, source: Source, chunk: int, num: int, folder: Path, progress: Progress) -> Seen:
    """One chunk, from its file or seen now (and then kept)."""
    size = size_of(chunk, num)
    path = folder / f"{chunk:06d}.safetensors"
    found = read(path)
    if found is not None and len(found.features) == size:
        if progress.first == 0:         # the first that it skips
            progress.report("going on where an earlier evaluation was interrupted")
        progress.skip(size * distributed.world_size())
        return found
    start = chunk * CHUNK
    seen = eyes(_counted(source(start, start + size), progress))
    with atomic_write(path) as temporary:
        save_file(seen._asdict(), temporary)
    return seen


def _counted(batches: Iterable[Tensor], progress: Progress) -> Iterator[Tensor]:
    for batch in batches:
        yield batch
        progress.advance(len(batch) * distributed.world_size())


def read(path: Path) -> Seen | None:
    """A chunk's file; None if there is none or it is damaged."""
    try:
        return Seen(**load_file(path)) if path.is_file() else None
    except (SafetensorError, TypeError):
        return None
