"""Where images come from: a file a format. `open_source` is the door; nothing is decoded behind it.

given                                        read by
-------------------------------------------  --------------
a folder of class folders; train/ and test/  folder.py
a folder with a label file, or that file     labelfile.py
a .zip of either                             tree.py
IDX files                                    idx.py
CIFAR-10 or CIFAR-100 for Python             cifar.py
.hdf5 in ajbrock's layout                    hdf5.py
.parquet, or hub:owner/name                  parquet.py
"""

import dataclasses
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from biggan.data.sources import cifar, folder, hdf5, idx, labelfile, parquet
from biggan.data.sources.parquet import HUB
from biggan.data.sources.source import Finding, Images, Source, Split
from biggan.data.sources.tree import FolderTree, Tree, ZipTree
from biggan.errors import UserError

__all__ = ["HUB", "Finding", "Images", "Source", "Split", "existing", "open_source"]

NAMED_BY_NUMBER = ("IDX files", "HDF5 in ajbrock's layout")        # any number may be missing
FORMS = (
    "a folder with one sub-folder of images a class, a label file (CSV or JSON), a .zip, IDX files, CIFAR's, "
    ".hdf5, .parquet, hub:owner/name, or the word digits"
)


def open_source(source: str, split: Split = "train") -> Source:
    """One split of a data set, by its path or by hub:owner/name; UserError if it is none that is known."""
    opened = _open(source, split)
    train = opened if split == "train" else _open(source, "train")
    return without_empty_classes(opened, np.unique(train.labels))


def without_empty_classes(source: Source, present: NDArray[np.int64]) -> Source:
    """The source with only the classes `present` (in train), numbered without gaps; UserError if it has others."""
    others = set(source.labels.tolist()) - set(present.tolist())
    if others:
        name = source.class_names[min(others)]
        raise UserError(f"the test split of {source.name} has the class {name!r}, which its train split has not")
    if source.kind in NAMED_BY_NUMBER or len(present) == len(source.class_names):
        findings = source.findings
    else:
        empty = [name for label, name in enumerate(source.class_names) if label not in present]
        text = f"{len(empty)} of {len(source.class_names)} classes have no images and were left out, such as {empty[0]}"
        findings = (*source.findings, Finding("note", "empty-class", text))
    return dataclasses.replace(
        source,
        labels=np.searchsorted(present, source.labels).astype(np.int64),
        class_names=tuple(source.class_names[label] for label in present),
        findings=findings,
    )


def _open(source: str, split: Split) -> Source:
    if source.startswith(HUB):
        return parquet.load_hub(source, split)
    path = existing(source)
    return _open_folder(path, split) if path.is_dir() else _open_file(path, split)


def existing(source: str) -> Path:
    """The path that --data names; UserError if nothing is there."""
    if not source:
        raise UserError(f"this preset brings no data; give --data: {FORMS}")
    path = Path(source).expanduser()
    if not path.exists():
        raise UserError(f"--data {source} does not exist; give {FORMS}")
    return path


def _open_folder(path: Path, split: Split) -> Source:
    if idx.find(path, "train"):
        return idx.load(path, split)
    if cifar.find(path):
        return cifar.load(path, split)
    if parquet.find(path):
        return parquet.load(path, split)
    return _open_tree(FolderTree(path), split)


def _open_file(path: Path, split: Split) -> Source:
    suffix = path.suffix.lower()
    if suffix == ".zip":
        return _open_tree(ZipTree(path), split)
    if suffix in labelfile.SUFFIXES:
        return dataclasses.replace(labelfile.load(FolderTree(path.parent), path.name, split), name=str(path))
    if suffix in hdf5.SUFFIXES:
        return hdf5.load(path, split)
    if suffix == ".parquet":
        return parquet.load(path, split)
    if cifar.find(path):
        return cifar.load(path, split)
    raise UserError(f"--data {path} is not a folder nor a file of a kind that is read here; give {FORMS}")


def _open_tree(tree: Tree, split: Split) -> Source:
    label_file = labelfile.find(tree)
    return labelfile.load(tree, label_file, split) if label_file else folder.load(tree, split)
