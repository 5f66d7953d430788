"""HDF5 as ajbrock/BigGAN-PyTorch writes it: `imgs` (N, 3, R, R) uint8 and `labels` (N,). Extra `[hdf5]`."""

from pathlib import Path

import numpy as np

from biggan.data.sources.source import PlanarImages, Source, Split, file_stamps
from biggan.errors import UserError

SUFFIXES = frozenset({".hdf5", ".h5"})
_CACHE = 256 << 20      # bytes: his chunks are of 500 images, 24 MB at 128 px, and may be compressed


def load(path: Path, split: Split) -> Source:
    """The images of a file; classes are named by their number. UserError without h5py or in another layout."""
    try:
        import h5py
    except ImportError as error:
        raise UserError("HDF5 files need h5py: pip install 'biggan-torch[hdf5]'") from error
    if split != "train":
        raise UserError(f"{path} has no {split} split; give its file as the data")
    try:
        file = h5py.File(path, "r", rdcc_nbytes=_CACHE)
    except OSError as error:
        raise UserError(f"{path} cannot be read as HDF5: {error}") from error
    if "imgs" not in file or "labels" not in file:
        raise UserError(f"{path} has {', '.join(file) or 'nothing'}; it must have imgs (N, 3, R, R) and labels (N,)")
    images, labels = file["imgs"], file["labels"]
    right = images.ndim == 4 and images.shape[1] == 3 and images.dtype == np.uint8 and labels.shape == images.shape[:1]
    if not right or labels.dtype.kind not in "iu":
        found = f"imgs {images.shape} {images.dtype} and labels {labels.shape} {labels.dtype}"
        raise UserError(f"{path} has {found}; they must be (N, 3, R, R) uint8 and (N,) whole numbers")
    numbers = labels[:].astype(np.int64)
    if numbers.min(initial=0) < 0:
        raise UserError(f"{path} has the label {numbers.min()}; labels count from 0")
    return Source(
        name=str(path),
        kind="HDF5 in ajbrock's layout",
        images=PlanarImages(images, file_stamps([path])),
        labels=numbers,
        class_names=tuple(str(label) for label in range(int(numbers.max(initial=0)) + 1)),
    )
