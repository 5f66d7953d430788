"""`Source`: labelled images as they are found, before anything is decoded.

Opening a source lists files or reads labels and never decodes an image, so it is quick for any size. What
was left out on the way (an empty class, a file that a label list names and that is not there) is a finding,
not a surprise.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

Split = Literal["train", "test"]
Level = Literal["fatal", "warning", "note"]

# What Pillow raises on a damaged or hostile file. MemoryError is one too: a header can claim any size.
UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, MemoryError, Image.DecompressionBombError)

GRAY_MODES = frozenset({"1", "L", "LA", "La", "I", "F"})


@dataclass(frozen=True)
class Finding:
    """One thing about a data set: what is so, and what to do about it."""

    level: Level                # fatal: cannot be trained; warning: costs quality; note: good to know
    kind: str                   # a fixed word, for programs
    text: str                   # what was found, with a count and an example
    advice: str = ""            # what to do

    @property
    def line(self) -> str:
        """Both in one line."""
        return f"{self.text}. {self.advice}" if self.advice else self.text


class Images(Protocol):
    """Images that can be opened one by one, from several threads at once."""

    def __len__(self) -> int:
        """How many there are."""

    def name(self, i: int) -> str:
        """What a user would call image i: its path inside the source, or its row."""

    def open(self, i: int) -> Image.Image:
        """Image i, opened and perhaps not yet decoded; raises one of UNREADABLE."""

    def stamp(self) -> object:
        """What changes whenever a pixel may have, without reading one: names, sizes and times."""


@dataclass(frozen=True)
class ArrayImages:
    """Images that are an array already."""

    pixels: NDArray[np.uint8]           # (N, H, W) or (N, H, W, 3)
    identity: object                    # names, sizes and times of its files

    def __len__(self) -> int:
        return len(self.pixels)

    def name(self, i: int) -> str:
        """Its row."""
        return f"image {i}"

    def open(self, i: int) -> Image.Image:
        """Row i."""
        return Image.fromarray(self.pixels[i])

    def stamp(self) -> object:
        """The files that the array came from."""
        return self.identity


@dataclass(frozen=True)
class PlanarImages:
    """Images that are an array already, channel by channel; it may lie in a file."""

    pixels: Any                         # (N, C, H, W) uint8: an array, a memory map or h5py.Dataset
    identity: object

    def __len__(self) -> int:
        return len(self.pixels)

    def name(self, i: int) -> str:
        """Its row."""
        return f"image {i}"

    def open(self, i: int) -> Image.Image:
        """Row i."""
        planes = self.pixels[i]
        return Image.fromarray(planes[0] if len(planes) == 1 else np.ascontiguousarray(planes.transpose(1, 2, 0)))

    def stamp(self) -> object:
        """The file."""
        return self.identity


@dataclass(frozen=True)
class Source:
    """A split of a data set, opened but not decoded."""

    name: str                               # what the user called it
    kind: str                               # "class folders", "IDX files", ...
    images: Images
    labels: NDArray[np.int64]               # (N,)
    class_names: tuple[str, ...]            # one a class, in the order of the labels
    splits: tuple[Split, ...] = ("train",)  # which splits there are
    findings: tuple[Finding, ...] = ()      # what was left out, and why

    def class_counts(self) -> NDArray[np.int64]:
        """Number of images of each class."""
        return np.bincount(self.labels, minlength=len(self.class_names)).astype(np.int64)


def all_gray(images: Images, sample: int = 200) -> bool:
    """Whether images spread over all of them have a mode without colours; what can't be opened has no say."""
    seen = 0
    for i in range(0, len(images), max(1, len(images) // sample)):
        try:
            with images.open(i) as image:
                if image.mode not in GRAY_MODES and not image.mode.startswith("I;16"):
                    return False
                seen += 1
        except UNREADABLE:
            continue
    return seen > 0


def file_stamps(files: Iterable[Path]) -> object:
    """Names, sizes and times of files: what changes when they do."""
    return [(file.name, (status := file.stat()).st_size, status.st_mtime_ns) for file in files]


def unreadable(error: BaseException) -> str:
    """Why an image could not be decoded, in a few words without its path."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, UnidentifiedImageError):
        return "is no image that Pillow knows"
    if isinstance(error, Image.DecompressionBombError):
        return f"has {text.partition('(')[2].partition(')')[0]}, too many to be decoded safely"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return text
