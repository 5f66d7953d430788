"""What a data set looks like from a few of its images: enough to choose networks for it."""

import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from biggan.data import folder, idx, open_dataset, peek
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
    in_memory: bool = False     # opened, it lies in memory as a whole; else in a memory-mapped file

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
    counts, images, in_memory = _opened(source)
    sizes, gray, transparent = [], [], []
    for image in images:
        try:
            image = ImageOps.exif_transpose(image)
            thumbnail = image.convert("RGBA").resize((32, 32), Image.Resampling.BOX)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
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
        counts=tuple(counts),
        height=height,
        width=width,
        one_size=sum(size == (width, height) for size in sizes) >= MOST_OF * len(sizes),
        one_aspect=alike >= MOST_OF * len(sizes),
        channels=4 if sum(transparent) > len(sizes) / 2 else 1 if all(gray) else 3,
        in_memory=in_memory,
    )


def _opened(source: str) -> tuple[list[int], Iterable[Image.Image], bool]:
    """Images a class, some images, opened one by one, and whether opening all of them takes memory."""
    if source == "digits":
        data = open_dataset(source, resolution=8, channels=1)
        return data.class_counts().tolist(), (Image.fromarray(data.images[i, 0]) for i in _spread(len(data))), True
    path = Path(source).expanduser()
    files = idx.find(path, "train") if path.is_dir() else None
    if files is not None:
        pixels, labels = idx.read(files[0]), idx.read(files[1])
        return np.bincount(labels).tolist(), (Image.fromarray(pixels[i]) for i in _spread(len(pixels))), True
    classes = folder.find_classes(path, lambda line: None)
    every = [file for of_class in classes.values() for file in of_class]
    return [len(of_class) for of_class in classes.values()], _open_files(every), False


def _open_files(files: list[Path]) -> Iterator[Image.Image]:
    for i in _spread(len(files)):
        try:
            with Image.open(files[i]) as image:
                yield image
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue


def _spread(count: int) -> NDArray[np.int64]:
    """The indices of a few of so many things."""
    return np.unique(np.linspace(0, count - 1, min(count, LOOKED_AT)).astype(np.int64))
