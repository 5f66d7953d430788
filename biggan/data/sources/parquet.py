"""Parquet shards of encoded images, and data sets of the Hugging Face Hub. Extra `[datasets]`.

The layout is that of Hugging Face data sets: a column with {"bytes", "path"} or plain bytes, and one with
labels, numbers or names. Names of classes come from the metadata where there are any. Shards of the
test split have `test` or `validation` in their names. `hub:owner/name` reads a set of the Hub.
"""

import bisect
import io
import itertools
import json
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from biggan.data.sources.labelfile import order
from biggan.data.sources.source import Source, Split, file_stamps
from biggan.errors import UserError

HUB = "hub:"
_LABELS = ("label", "labels", "fine_label", "class", "category", "target")
_IMAGES = ("image", "img", "images", "bytes", "jpg", "png")
_KEPT = 4               # row groups in memory: those that the threads of one pass read


@dataclass(frozen=True)
class ParquetImages:
    """Encoded images in row groups, a few of which are kept in memory: made to be read in order."""

    shards: Sequence[Any]               # pyarrow.parquet.ParquetFile
    files: Sequence[Path]
    column: str
    groups: Sequence[tuple[int, int]]   # shard and row group
    starts: Sequence[int]               # the first image of each group, and the number of all
    kept: OrderedDict[int, Any] = field(default_factory=OrderedDict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __len__(self) -> int:
        return self.starts[-1]

    def name(self, i: int) -> str:
        """Its file and row."""
        group = bisect.bisect_right(self.starts, i) - 1
        shard = self.groups[group][0]
        first = next(n for n, (s, _) in enumerate(self.groups) if s == shard)
        return f"{self.files[shard].name} row {i - self.starts[first]}"

    def open(self, i: int) -> Image.Image:
        """Image i; OSError if it is not encoded in its row."""
        group = bisect.bisect_right(self.starts, i) - 1
        value = self._group(group)[i - self.starts[group]].as_py()
        return _decode(value)

    def stamp(self) -> object:
        """The files."""
        return file_stamps(self.files)

    def _group(self, group: int) -> Any:
        with self.lock:
            if group not in self.kept:
                shard, number = self.groups[group]
                table = self.shards[shard].read_row_group(number, columns=[self.column])
                self.kept[group] = table.column(self.column)
                while len(self.kept) > _KEPT:
                    self.kept.popitem(last=False)
            return self.kept[group]


@dataclass(frozen=True)
class HubImages:
    """Encoded images of a Hub data set, which keeps them in a memory-mapped cache."""

    dataset: Any
    column: str
    identity: object

    def __len__(self) -> int:
        return len(self.dataset)

    def name(self, i: int) -> str:
        """Its row."""
        return f"row {i}"

    def open(self, i: int) -> Image.Image:
        """Image i."""
        return _decode(self.dataset[i][self.column])

    def stamp(self) -> object:
        """The set's own fingerprint."""
        return self.identity


def find(folder: Path) -> list[Path]:
    """The shards directly in a folder, or in its folder data/ as on the Hub."""
    return sorted(folder.glob("*.parquet")) or sorted(folder.glob("data/*.parquet"))


def load(path: Path, split: Split) -> Source:
    """The images of one split of a shard or a folder of shards; UserError without pyarrow or such columns."""
    try:
        import pyarrow
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise UserError("parquet files need pyarrow: pip install 'biggan-torch[datasets]'") from error
    every = [path] if path.is_file() else find(path)
    tests = [file for file in every if any(word in file.name.lower() for word in ("test", "valid"))]
    if len(tests) == len(every):
        tests = []
    files = tests if split == "test" else [file for file in every if file not in tests]
    if not files:
        raise UserError(f"{path} has no {split} split: no parquet file with test or validation in its name")
    try:
        shards = [ParquetFile(file) for file in files]
    except (OSError, pyarrow.ArrowException) as error:
        raise UserError(f"{path} cannot be read as parquet: {error}") from error
    schema = shards[0].schema_arrow
    image, label = _column(path, schema.names, _IMAGES), _column(path, schema.names, _LABELS)
    groups = [(s, g) for s, shard in enumerate(shards) for g in range(shard.num_row_groups)]
    sizes = [shards[s].metadata.row_group(g).num_rows for s, g in groups]
    values = [value for shard in shards for value in shard.read(columns=[label]).column(label).to_pylist()]
    names = _names_in(schema.metadata or {}, label)
    labels, class_names = _number(str(path), values, names)
    return Source(
        name=str(path),
        kind="parquet shards",
        images=ParquetImages(shards, files, image, groups, [0, *itertools.accumulate(sizes)]),
        labels=labels,
        class_names=class_names,
        splits=("train", "test") if tests else ("train",),
    )


def load_hub(source: str, split: Split) -> Source:
    """One split of the Hub's data set that `hub:owner/name` names; UserError without `datasets` or the set."""
    try:
        import datasets
    except ImportError as error:
        raise UserError("data sets of the Hub need: pip install 'biggan-torch[datasets]'") from error
    name = source.removeprefix(HUB)
    try:
        every = datasets.load_dataset(name)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise UserError(f"{source} cannot be loaded: {' '.join(str(error).split())}") from error
    there = {"train": "train", "test": next((word for word in ("test", "validation") if word in every), "")}
    if there[split] not in every:
        raise UserError(f"{source} has no {split} split; it has {', '.join(map(str, every))}")
    dataset = every[there[split]]
    image, label = _column(source, dataset.column_names, _IMAGES), _column(source, dataset.column_names, _LABELS)
    names = getattr(dataset.features[label], "names", None)
    labels, class_names = _number(source, list(dataset[label]), names)
    dataset = dataset.cast_column(image, datasets.Image(decode=False))
    return Source(
        name=source,
        kind="a data set of the Hugging Face Hub",
        images=HubImages(dataset, image, dataset._fingerprint),
        labels=labels,
        class_names=class_names,
        splits=("train", "test") if there["test"] else ("train",),
    )


def _decode(value: Any) -> Image.Image:
    data = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(data, bytes) or not data:
        raise OSError("has no encoded image in its row")
    return Image.open(io.BytesIO(data))


def _column(name: object, columns: Sequence[str], known: Sequence[str]) -> str:
    found = next((column for column in known if column in columns), None)
    if found is None:
        raise UserError(f"{name} has no column {known[0]}; its columns are {', '.join(columns)}")
    return found


def _names_in(metadata: dict[bytes, bytes], label: str) -> list[str] | None:
    """Names of classes in the metadata that Hugging Face writes into parquet files."""
    features = json.loads(metadata.get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    names = features.get(label, {}).get("names")
    return list(names) if names else None


def _number(source: str, values: list[Any], names: list[str] | None) -> tuple[np.ndarray[Any, Any], tuple[str, ...]]:
    """Labels as numbers of classes; UserError where a row has none."""
    if any(value is None or value == -1 for value in values):
        raise UserError(f"{source} has rows without a label; give a split that has labels")
    if names is not None and all(isinstance(value, int) for value in values):
        return np.array(values, dtype=np.int64), tuple(names)
    class_names = order({str(value) for value in values})
    number = {label: i for i, label in enumerate(class_names)}
    return np.array([number[str(value)] for value in values], dtype=np.int64), class_names
