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
    train = _without_empty_classes(_open(source, "train"))
    return train if split == "train" else _with_classes_of(train, _open(source, split))


def _without_empty_classes(source: Source) -> Source:
    """The source with only the classes that have images, numbered without gaps."""
    present = np.unique(source.labels)
    empty = sorted(set(range(len(source.class_names))) - set(present.tolist()))
    findings = source.findings
    if empty and source.kind not in NAMED_BY_NUMBER:
        text = f"left out as classes without images: {len(empty)}, such as {source.class_names[empty[0]]!r}"
        findings = (*findings, Finding("note", "empty-class", text))
    return dataclasses.replace(
        source,
        labels=np.searchsorted(present, source.labels).astype(np.int64),
        class_names=tuple(source.class_names[label] for label in present),
        findings=findings,
    )


def _with_classes_of(train: Source, source: Source) -> Source:
    """The source with the numbers that its classes have in `train`, by their names; UserError if it has others."""
    number = {name: label for label, name in enumerate(train.class_names)}
    present = [source.class_names[label] for label in np.unique(source.labels)]
    others = [name for name in present if name not in number]
    if others:
        raise UserError(f"the test split of {source.name} has the class {others[0]!r}, which its train split has not")
    numbers = np.array([number.get(name, -1) for name in source.class_names], dtype=np.int64)
    return dataclasses.replace(source, labels=numbers[source.labels], class_names=train.class_names)


def _open(source: str, split: Split) -> Source:
    if source.startswith(HUB):
        return parquet.load_hub(source, split)
    path = existing(source)
    return _open_folder(path, split) if path.is_dir() else _open_file(path, split)


def existing(source: str) -> Path:
    """The path that --data names; UserError if nothing is there."""
    if not source:
        raise UserError(f"this recipe brings no data; give --data: {FORMS}")
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
