"""`LabelledImages`: what every source of data becomes."""

import dataclasses
import functools
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from biggan.errors import UserError


@dataclass(frozen=True)
class LabelledImages:
    """Images at their final size, in memory or memory-mapped, with labels and class names."""

    images: NDArray[np.uint8]           # (N, C, H, W)
    labels: NDArray[np.int64]           # (N,)
    class_names: tuple[str, ...]        # one a class, in the order of the labels
    source: str                         # what the user would call it
    fingerprint: str                    # changes whenever a pixel or a label may have
    loading: "Stopwatch" = field(default_factory=lambda: Stopwatch(), compare=False, repr=False)

    def __len__(self) -> int:
        return len(self.labels)

    def __post_init__(self) -> None:
        counts = self.class_counts()
        if len(self) == 0:
            raise UserError(f"{self.source} has no images")
        if len(self.class_names) < 2:
            raise UserError(
                f"{self.source} has one class, {self.class_names[0]!r}; a class-conditional model needs at least two. "
                "Put each class into a sub-folder of its own"
            )
        if len(counts) > len(self.class_names):
            raise UserError(f"{self.source} has labels up to {len(counts) - 1} but {len(self.class_names)} class names")

    def class_counts(self) -> NDArray[np.int64]:
        """Number of images of each class."""
        return np.bincount(self.labels, minlength=len(self.class_names)).astype(np.int64)

    @functools.cached_property
    def rows_by_class(self) -> list[NDArray[np.int64]]:
        """The rows of each class, ascending."""
        return np.split(np.argsort(self.labels, kind="stable"), np.cumsum(self.class_counts())[:-1])

    def batch(self, indices: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Images (B, C, H, W) uint8 and labels (B,) int64 of the given rows."""
        with self.loading:
            return torch.from_numpy(np.asarray(self.images[indices])), torch.from_numpy(self.labels[indices])

    def renamed(self, class_names: Sequence[str]) -> "LabelledImages":
        """The same images under other class names; UserError unless there is one for each class."""
        if len(class_names) != len(self.class_names):
            names = f"--class-names has {len(class_names)} names"
            raise UserError(f"{names}; {self.source} has {len(self.class_names)} classes")
        return dataclasses.replace(self, class_names=tuple(class_names))


class Stopwatch:
    """Adds up the time spent in its blocks: what `batch` took, for the loader's share in a run's log."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> None:
        self.began = time.perf_counter()

    def __exit__(self, *exception: object) -> None:
        self.seconds += time.perf_counter() - self.began


def fingerprint(*parts: object) -> str:
    """A short hash of anything with a faithful repr, or of bytes."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else repr(part).encode())
        digest.update(b"\0")
    return digest.hexdigest()[:16]


def to_float(images: Tensor) -> Tensor:
    """uint8 images to float32 in [-1, 1]: 0 becomes -1 and 255 becomes 1."""
    return images.float() / 127.5 - 1
