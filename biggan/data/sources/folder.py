"""Class folders: one sub-folder of images a class, at the top or in train/ and test/.

Images count only directly in their class folder. What lies deeper is named, never given the label of the
folder far above it: that is how labels become all 0 without a word.
"""

from collections import Counter
from collections.abc import Iterable

import numpy as np

from biggan.data.sources.source import Finding, Source, Split
from biggan.data.sources.tree import EXTENSIONS, Entry, Tree, TreeImages
from biggan.errors import UserError

_SPLIT_NAMES = {"train": ("train", "training"), "test": ("test", "testing", "val", "valid", "validation")}


def load(tree: Tree, split: Split) -> Source:
    """One split of a tree of class folders; UserError if there are none, or they lie at another depth."""
    bases = splits(tree)
    if split != "train" and split not in bases:
        raise UserError(f"{tree.name} has no {split} split: no sub-folder {split}/ beside train/ with class folders")
    classes = find_classes(tree, bases.get("train", ""))
    findings = [*tree.findings, *left_out(tree, bases.get(split, ""))]
    here = classes if split == "train" else find_classes(tree, bases[split])
    unknown = sorted(set(here) - set(classes))
    if unknown:
        raise UserError(
            f"{tree.name}: {bases[split]}{unknown[0]} is no class of {bases['train']}; name the folders of both alike"
        )
    files = [(entry, label) for label, name in enumerate(classes) for entry in here.get(name, [])]
    return Source(
        name=tree.name,
        kind="class folders",
        images=TreeImages(tree, tuple(entry for entry, _ in files)),
        labels=np.array([label for _, label in files], dtype=np.int64),
        class_names=tuple(classes),
        splits=("train", "test") if "test" in bases else ("train",),
        findings=tuple(findings),
    )


def splits(tree: Tree) -> dict[str, str]:
    """The folder of each split that a tree has, such as "train/"; none if its top holds the class folders."""
    images = images_by_folder(tree)
    found: dict[str, str] = {}
    for split, names in _SPLIT_NAMES.items():
        there = [top for name in names for top in tops(tree.folders) if top.lower() == name and not images.get(top)]
        holding = [top for top in there if any(folder.rpartition("/")[0] == top for folder in images)]
        found |= {split: holding[0] + "/"} if holding else {}
    return found if "train" in found else {}


def find_classes(tree: Tree, base: str) -> dict[str, list[Entry]]:
    """The image files of each class folder under `base` ("" or "train/"), both sorted by name."""
    images = images_by_folder(tree)
    names = tops(folder.removeprefix(base) for folder in tree.folders if folder.startswith(base))
    classes = {name: images[base + name] for name in names if images.get(base + name)}
    if not classes:
        raise UserError(_why_none(tree, base, names))
    return classes


def left_out(tree: Tree, base: str) -> list[Finding]:
    """What lies in a tree of class folders and was not taken."""
    images = images_by_folder(tree)
    names = tops(folder.removeprefix(base) for folder in tree.folders if folder.startswith(base))
    findings = []
    for name in names:
        deep = [e.path for folder in images if folder.startswith(f"{base}{name}/") for e in images[folder]]
        if deep:
            text = f"left out of {base}{name}: {len(deep):,} in sub-folders, such as {deep[0]}"
            advice = "Images must lie directly in their class folder: move them up, or give the folder whose "
            findings.append(Finding("warning", "too-deep", text, advice + "sub-folders are the classes"))
        elif not images.get(base + name):
            findings.append(Finding("warning", "empty-class", f"skipped {base}{name}: no images in it", "Remove it"))
    beside = images.get(base.rstrip("/"), [])
    if beside:
        text = f"left out beside the class folders: {len(beside):,}, such as {beside[0].path}"
        findings.append(Finding("warning", "no-class", text, "Put each into the folder of its class"))
    others = Counter(e.extension or "no extension" for e in tree.entries if e.path.startswith(base) and not e.is_image)
    if others:
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in others.most_common(4))
        text = f"left out as no images by their names: {others.total():,} ({kinds})"
        findings.append(Finding("note", "other-files", text, "If they are images, convert them to PNG or JPEG"))
    return findings


def images_by_folder(tree: Tree) -> dict[str, list[Entry]]:
    """The image files that lie directly in each folder."""
    found: dict[str, list[Entry]] = {}
    for entry in tree.entries:
        if entry.is_image:
            found.setdefault(entry.folder, []).append(entry)
    return found


def tops(folders: Iterable[str]) -> list[str]:
    """The folders that lie directly in the top."""
    return [folder for folder in folders if folder and "/" not in folder]


def _why_none(tree: Tree, base: str, names: list[str]) -> str:
    """Why there is no class folder, and what to do."""
    images = images_by_folder(tree)
    deeper = [name for name in names if any(f.rpartition("/")[0] == base + name for f in images)]
    if deeper:
        where = f"{tree.name}/{base}{deeper[0]}"
        return f"{tree.name} has its class folders one level deeper; use --data {where}"
    if images.get(base.rstrip("/")):
        return f"{tree.name} has images but no class folders; put each class into a sub-folder of its own"
    if images:
        deepest = sorted(images)[0]
        return f"{tree.name} has images only deep inside, in {deepest}; give the folder whose sub-folders are classes"
    kinds = "label file, IDX, CIFAR or parquet files"
    return f"{tree.name} has no class folders with images ({', '.join(sorted(EXTENSIONS))}), and no {kinds} either"
