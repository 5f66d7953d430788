"""IDX files: the format of MNIST, Fashion-MNIST and their family."""

import gzip
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from biggan.data.sources.source import ArrayImages, Source, Split, file_stamps
from biggan.errors import UserError

_NAMES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


def find(folder: Path, split: Split) -> tuple[Path, Path] | None:
    """The image and label files of a split, gzipped or not, if the folder has them."""
    found = []
    for name in _NAMES[split]:
        dotted = name.replace("-idx", ".idx")
        files = [folder / spelling for spelling in (name, f"{name}.gz", dotted, f"{dotted}.gz")]
        found += [file for file in files if file.is_file()][:1]
    return (found[0], found[1]) if len(found) == 2 else None


def load(folder: Path, split: Split) -> Source:
    """The images of one split; classes are named by their number. UserError if files are missing or damaged."""
    files = find(folder, split)
    if files is None:
        raise UserError(f"{folder} has no {split} split: no {' and '.join(_NAMES[split])}")
    images, labels = read(files[0]), read(files[1])
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
        raise UserError(f"{files[0]} and {files[1].name} do not belong together: {images.shape} and {labels.shape}")
    return Source(
        name=str(folder),
        kind="IDX files",
        images=ArrayImages(images, file_stamps(files)),
        labels=labels.astype(np.int64),
        class_names=tuple(map(str, range(256))),
        splits=("train", "test") if find(folder, "test") else ("train",),
    )


def read(path: Path) -> NDArray[np.uint8]:
    """The array in one IDX file of unsigned bytes; UserError if it is not one or is cut short."""
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    if len(raw) < 4 or raw[:3] != b"\0\0\x08":
        raise UserError(f"{path} is not an IDX file of unsigned bytes")
    header = 4 + 4 * raw[3]
    shape = tuple(np.frombuffer(raw[4:header], dtype=">u4").tolist())
    if len(raw) - header != int(np.prod(shape)):
        raise UserError(f"{path} is damaged: its header says {shape}, it holds {len(raw) - header:,} bytes of pixels")
    return np.frombuffer(raw, dtype=np.uint8, offset=header).reshape(shape)
