"""Sources of labelled images. `open_dataset` is the door; each source is a file of its own."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from biggan.data import digits, folder, idx
from biggan.data.dataset import LabelledImages, to_float
from biggan.data.images import Fit, Size
from biggan.data.sampler import class_shares, real_indices, sample_indices
from biggan.errors import UserError

__all__ = [
    "Contents", "LabelledImages", "class_shares", "open_dataset", "peek", "real_indices", "sample_indices", "to_float",
]  # fmt: skip


def open_dataset(
    source: str,
    *,
    resolution: Size,
    channels: int,
    fit: Fit = "crop",
    split: idx.Split = "train",
    report: Callable[[str], None] = lambda line: None,
) -> LabelledImages:
    """Open `source` at the given size: the word digits, a folder of IDX files, or one of class folders.

    `resolution` is the side of a square, or height and width (`BigGANConfig.image_shape`).
    `split` matters for IDX files only, the one format here that brings a test split. `report`
    receives lines that the user should see, such as skipped files. Raises UserError.
    """
    if not isinstance(resolution, int) and resolution[0] == resolution[1]:
        resolution = resolution[0]              # one fingerprint for one size
    if source == "digits":
        return digits.load(resolution, channels, fit)
    path = _folder(source)
    if idx.find(path, split):
        return idx.load(path, split, resolution, channels, fit)
    return folder.load(path, resolution, channels, fit, report)


class Contents(NamedTuple):
    """What a look at the names and labels of a source tells."""

    class_names: tuple[str, ...]
    images: int                 # files that cannot be decoded included


def peek(source: str) -> Contents:
    """The classes and size of a source, without decoding an image. Raises UserError."""
    if source == "digits":
        data = digits.load(8, 1, "crop")
        return Contents(data.class_names, len(data))
    path = _folder(source)
    files = idx.find(path, "train")
    if files is not None:
        labels = idx.read(files[1])
        return Contents(tuple(str(label) for label in range(int(labels.max(initial=0)) + 1)), len(labels))
    classes = folder.find_classes(path, lambda line: None)
    return Contents(tuple(classes), sum(map(len, classes.values())))


def _folder(source: str) -> Path:
    path = Path(source).expanduser()
    forms = "a folder with one sub-folder of images a class, or with IDX files, or the word digits"
    if not source:
        raise UserError(f"this recipe brings no data; give --data: {forms}")
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "does not exist"
        raise UserError(f"--data {source} {what}; give {forms}")
    return path
