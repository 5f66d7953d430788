"""Sources of labelled images. `open_dataset` is the door; each source is a file of its own."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from biggan.data import digits, folder, idx
from biggan.data.dataset import LabelledImages, to_float
from biggan.data.idx import Split
from biggan.data.images import Fit
from biggan.data.sampler import sample_indices
from biggan.errors import UserError

__all__ = ["Contents", "LabelledImages", "open_dataset", "peek", "sample_indices", "splits", "to_float"]


def open_dataset(
    source: str,
    *,
    resolution: int,
    channels: int,
    fit: Fit = "crop",
    split: Split = "train",
    report: Callable[[str], None] = lambda line: None,
) -> LabelledImages:
    """Open `source` at the given size: the word digits, a folder of IDX files, or one of class folders.

    `split` is one of `splits(source)`. `report` receives lines that the user should see, such as skipped
    files. Raises UserError.
    """
    if split not in splits(source):
        raise UserError(f"{source} has no {split} split: neither a sub-folder {split}/ nor IDX files of that name")
    if source == "digits":
        return digits.load(resolution, channels, fit)
    path = _folder(source)
    if idx.find(path, split):
        return idx.load(path, split, resolution, channels, fit)
    return folder.load(folder.splits(path).get(split, path), resolution, channels, fit, report)


def splits(source: str) -> tuple[Split, ...]:
    """The splits that a source brings: train, and test if it has IDX files or a sub-folder of that name."""
    if source == "digits":
        return ("train",)
    path = _folder(source)
    tested = idx.find(path, "test") if idx.find(path, "train") else folder.splits(path).get("test")
    return ("train", "test") if tested else ("train",)


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
    classes = folder.find_classes(folder.splits(path).get("train", path), lambda line: None)
    return Contents(tuple(classes), sum(map(len, classes.values())))


def _folder(source: str) -> Path:
    path = Path(source).expanduser()
    forms = "a folder with one sub-folder of images a class, or with IDX files, or the word digits"
    if not source:
        raise UserError(f"this preset brings no data; give --data: {forms}")
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "does not exist"
        raise UserError(f"--data {source} {what}; give {forms}")
    return path
