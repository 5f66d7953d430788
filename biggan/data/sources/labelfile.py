"""Images with a list of labels: CSV, JSON or JSON lines, and StyleGAN's `dataset.json`.

form             looks like
---------------  --------------------------------------------------------------------------------
dataset.json     {"labels": [["00000/img00000000.png", 6], ...]}
JSON             {"cats/1.png": "cat", ...} or [{"file": "cats/1.png", "label": "cat"}, ...]
JSON lines       {"file_name": "cats/1.png", "label": "cat"} a line (Hugging Face's metadata.jsonl)
CSV              a header that names the columns, or two columns: file, label; also with ; or tabs

A column `split` may say train or test. Files are found by their path, else by a file name or a stem that is
unique in the folder. Classes are in the order of their names, numbers in that of their values.
"""

import csv
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from biggan.data.sources.source import Finding, Source, Split
from biggan.data.sources.tree import EXTENSIONS, Entry, Tree, TreeImages
from biggan.errors import UserError

NAMES = ("dataset.json", "metadata.csv", "metadata.jsonl", "labels.csv", "labels.json", "labels.jsonl")
SUFFIXES = frozenset({".csv", ".tsv", ".json", ".jsonl"})
_FILE_COLUMNS = ("file_name", "filename", "file", "path", "filepath", "image", "image_path", "image_id", "id")
_LABEL_COLUMNS = ("label", "class", "class_name", "category", "target", "breed", "y")
_SPLIT_COLUMNS = ("split", "set", "subset", "partition")
_TEST_WORDS = frozenset({"test", "testing", "val", "valid", "validation"})


class Row(NamedTuple):
    """One line of a label file."""

    file: str
    label: str
    split: Split


def find(tree: Tree) -> str | None:
    """The label file at the top of a tree, by its name."""
    there = {entry.path for entry in tree.entries if not entry.folder}
    return next((name for name in NAMES if name in there), None)


def load(tree: Tree, name: str, split: Split) -> Source:
    """The images of one split that the label file `name` lists; UserError if it cannot be understood."""
    rows = read(tree, name)
    if not rows:
        raise UserError(f"{tree.name}: {name} lists no images")
    have_test = any(row.split == "test" for row in rows)
    if split == "test" and not have_test:
        raise UserError(f"{tree.name} has no test split: {name} has no column split that says test")
    class_names = order({row.label for row in rows})
    number = {label: i for i, label in enumerate(class_names)}
    found = Finder(tree.entries)
    wanted = [(found.find(row.file), row) for row in rows if row.split == split]
    kept = [(entry, number[row.label]) for entry, row in wanted if entry is not None]
    if not kept:
        raise UserError(f"{tree.name}: no file that {name} lists is there, such as {rows[0].file}; whose is it?")
    return Source(
        name=tree.name,
        kind=f"labels from {name}",
        images=TreeImages(tree, tuple(entry for entry, _ in kept)),
        labels=np.array([label for _, label in kept], dtype=np.int64),
        class_names=class_names,
        splits=("train", "test") if have_test else ("train",),
        findings=(*tree.findings, *_findings(tree, name, rows, [row for entry, row in wanted if entry is None], found)),
    )


def order(labels: set[str]) -> tuple[str, ...]:
    """Class names in order: numbers by value, else by name."""
    numbers = all(label.lstrip("-").isdecimal() for label in labels)
    return tuple(sorted(labels, key=int if numbers else str))


class Finder:
    """Finds the file that a label file means: by path, else by a unique file name, else by a unique stem."""

    def __init__(self, entries: list[Entry]) -> None:
        self.images = [entry for entry in entries if entry.is_image]
        self.by_path = {entry.path: entry for entry in entries}
        names = [entry.path.rpartition("/")[2] for entry in self.images]
        self.by_name = self._unique(names)
        self.by_stem = self._unique([name.rpartition(".")[0] for name in names])

    def _unique(self, keys: list[str]) -> dict[str, Entry]:
        counts = Counter(keys)
        return {key: entry for key, entry in zip(keys, self.images, strict=True) if counts[key] == 1}

    def find(self, file: str) -> Entry | None:
        """The entry of a file, if there is one and no other that it may be."""
        path = file.replace("\\", "/").removeprefix("./")
        name = path.rpartition("/")[2]
        return self.by_path.get(path) or self.by_name.get(name) or self.by_stem.get(name)


def read(tree: Tree, name: str) -> list[Row]:
    """The rows of a label file; UserError if it cannot be understood."""
    try:
        text = tree.read(name).decode("utf-8-sig")
        if name.endswith(".jsonl"):
            return _from_objects(name, [json.loads(line) for line in text.splitlines() if line.strip()])
        return _from_json(name, json.loads(text)) if name.endswith(".json") else _from_csv(name, text)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, csv.Error, RecursionError) as error:
        raise UserError(f"{name} cannot be read: {' '.join(str(error).split())}") from error


def _from_json(name: str, values: Any) -> list[Row]:
    if isinstance(values, dict) and "labels" in values:         # StyleGAN's
        values = values["labels"]
        if not isinstance(values, list):
            raise UserError(f"{name} has no labels: the set was made without them; make it again with labels")
        if not all(isinstance(pair, list) and len(pair) == 2 for pair in values):
            raise UserError(f'{name} must hold {{"labels": [["file.png", 0], ...]}}')
        return [Row(str(file), _label(name, label), "train") for file, label in values]
    if isinstance(values, dict):
        return [Row(file, _label(name, label), "train") for file, label in values.items()]
    if isinstance(values, list):
        return _from_objects(name, values)
    raise UserError(f'{name} must hold {{"file.png": "label"}} or [{{"file": "file.png", "label": "label"}}]')


def _from_objects(name: str, objects: list[Any]) -> list[Row]:
    if not all(isinstance(values, dict) for values in objects):
        raise UserError(f'{name} must hold objects such as {{"file": "file.png", "label": "cat"}}')
    if not objects:
        return []
    file, label, split = _columns(name, list(objects[0]))
    lines = [n for n, values in enumerate(objects, 1) if file not in values or label not in values]
    if lines:
        raise UserError(f"{name}: object {lines[0]} has no {file} or no {label}")
    return [Row(str(v[file]), _label(name, v[label]), _split(v.get(split) if split else None)) for v in objects]


def _from_csv(name: str, text: str) -> list[Row]:
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    lines = [line for line in csv.reader(io.StringIO(text), delimiter=delimiter) if any(line)]
    if not lines:
        return []
    header = [column.strip().lower() for column in lines[0]]
    bare = len(header) == 2 and Path(header[0]).suffix in EXTENSIONS
    if bare:
        header = ["file", "label"]
    file, label, split = _columns(name, header)
    at_file, at_label, at_split = header.index(file), header.index(label), header.index(split) if split else None
    rows = []
    for number, line in enumerate(lines if bare else lines[1:], 1 if bare else 2):
        if len(line) != len(header):
            raise UserError(f"{name}: line {number} has {len(line)} columns, the first has {len(header)}")
        label_split = _split(line[at_split]) if at_split is not None else "train"
        rows.append(Row(line[at_file].strip(), _label(name, line[at_label]), label_split))
    return rows


def _columns(name: str, header: list[str]) -> tuple[str, str, str | None]:
    """Which columns hold the file, the label and perhaps the split."""
    lower = {column.lower(): column for column in header}
    file, label, split = (
        next((lower[column] for column in columns if column in lower), None)
        for columns in (_FILE_COLUMNS, _LABEL_COLUMNS, _SPLIT_COLUMNS)
    )
    if file is None or label is None:
        what = "the file (such as file)" if file is None else "the label (such as label)"
        raise UserError(f"{name} has no column for {what}; its columns are {', '.join(header)}")
    return file, label, split


def _label(name: str, value: object) -> str:
    """A class by its name; whole numbers are the same whether they are written 3, 3.0 or "3"."""
    if value is None or isinstance(value, list | dict):
        raise UserError(f"{name}: {json.dumps(value)} is no label; give each image one number or one name")
    text = str(value).strip()
    if not text:
        raise UserError(f"{name} has an empty label; give each image one number or one name")
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() else text


def _split(value: object) -> Split:
    return "test" if str(value).strip().lower() in _TEST_WORDS else "train"


def _findings(tree: Tree, name: str, rows: list[Row], missing: list[Row], found: Finder) -> list[Finding]:
    findings = []
    if missing:
        text = f"listed in {name} but not there: {len(missing):,}, such as {missing[0].file}"
        findings.append(Finding("warning", "missing-files", text, "They are left out; mend the list or the folder"))
    unlisted = {entry.path for entry in found.images} - {e.path for row in rows if (e := found.find(row.file))}
    if unlisted:
        text = f"there but not listed in {name}: {len(unlisted):,}, such as {min(unlisted)}"
        findings.append(Finding("warning", "unlisted-files", text, "They are left out; add them to the list"))
    return findings
