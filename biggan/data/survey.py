"""What a data set looks like from a few of its images: enough to choose networks for it."""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from biggan.data import as_source, packed_law, peek
from biggan.data.sources import Source
from biggan.data.sources.source import UNREADABLE
from biggan.errors import UserError

LOOKED_AT = 200             # images, spread evenly
ALIKE = 0.1                 # aspect ratios closer than this to the median count as the same
GRAY = 8                    # colour channels that differ by less are a gray image's, saved as JPEG
MOST_OF = 0.9


@dataclass(frozen=True)
class Survey:
    """Classes and sizes of all images, and the looks of some."""

    source: str
    counts: tuple[int, ...]     # images a class
    height: int                 # the median
    width: int
    one_size: bool              # nearly all images have just this size
    one_aspect: bool            # nearly all have about this ratio of width to height
    channels: int               # 1 where all are gray, 4 where most are transparent somewhere, else 3
    packed: bool = False        # packed at this size and with these channels, so that no others can be had

    @property
    def images(self) -> int:
        """How many in all."""
        return sum(self.counts)

    @property
    def imbalance(self) -> float:
        """The largest class over the smallest."""
        return max(self.counts) / max(min(self.counts), 1)


def survey(source: str) -> Survey:
    """Look at the names and labels of a source and at a few of its images. Raises UserError."""
    names = peek(source).class_names        # which says what is wrong with a source
    if len(names) < 2:
        raise UserError(
            f"{source} has one class, {names[0]!r}; a class-conditional model needs at least two. "
            "Put each class into a sub-folder of its own"
        )
    opened, law = as_source(source), packed_law(source)
    sizes, gray, transparent = [], [], []
    for image in _opened(opened):
        try:
            image = ImageOps.exif_transpose(image)
            thumbnail = image.convert("RGBA").resize((32, 32), Image.Resampling.BOX)
        except UNREADABLE:
            continue                        # training names what cannot be read
        pixels = np.asarray(thumbnail).astype(int)
        sizes.append(image.size)
        gray.append(int((pixels[..., :3].max(2) - pixels[..., :3].min(2)).max()) < GRAY)
        transparent.append(int(pixels[..., 3].min()) < 250)
    if not sizes:
        raise UserError(f"none of the images of {source} that were looked at can be read")
    height, width = (round(statistics.median(side)) for side in ([h for _, h in sizes], [w for w, _ in sizes]))
    aspects = [w / h for w, h in sizes]
    middle = statistics.median(aspects)
    alike = sum(abs(aspect / middle - 1) < ALIKE for aspect in aspects)
    return Survey(
        source=source,
        counts=tuple(opened.class_counts().tolist()),
        height=height,
        width=width,
        one_size=sum(size == (width, height) for size in sizes) >= MOST_OF * len(sizes),
        one_aspect=alike >= MOST_OF * len(sizes),
        channels=law.channels if law else 4 if sum(transparent) > len(sizes) / 2 else 1 if all(gray) else 3,
        packed=law is not None,
    )


def _opened(source: Source) -> Iterator[Image.Image]:
    """Some images, opened one by one; what cannot be opened is passed over."""
    for i in _spread(len(source.images)):
        try:
            with source.images.open(i) as image:
                yield image
        except UNREADABLE:
            continue


def _spread(count: int) -> NDArray[np.int64]:
    """The indices of a few of so many things."""
    return np.unique(np.linspace(0, count - 1, min(count, LOOKED_AT)).astype(np.int64))
