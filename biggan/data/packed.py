"""Packed sets: what `biggan data pack` makes and training maps into memory."""

from pathlib import Path
from typing import Any

import numpy as np

from biggan.data.dataset import LabelledImages
from biggan.data.images import Size, height_and_width
from biggan.data.packing import HEADER, PREFIX, Law, checksum, read_manifest
from biggan.data.sources.source import PlanarImages, Source, Split
from biggan.errors import UserError


def load(folder: Path, split: Split, resolution: Size, channels: int) -> LabelledImages:
    """One split, mapped into memory; UserError if it has another size, is damaged or has no such split.

    Sizes are checked here, and the labels' checksum; the images' only by `verify`, because that reads all of them.
    """
    manifest = _manifest(folder)
    law = law_of(manifest)
    wanted = (channels, *height_and_width(resolution))
    if law.shape != wanted:
        raise UserError(
            f"{folder} is packed at {_size(law.shape)}, the model has {_size(wanted)}; "
            f"give {_flags(law)}, or pack the set again"
        )
    return open_split(folder, manifest, split, source=str(folder))


def _flags(law: Law) -> str:
    """What gives a model the size of a packed set."""
    size = f"--resolution {law.height}"
    if law.width != law.height:
        size += f" with a --base-width of {law.width / law.height:g} times the --base-resolution"
    return f"{size} --image-channels {law.channels}"


def open_split(folder: Path, manifest: dict[str, Any], split: Split, source: str) -> LabelledImages:
    """One split of a packed set under the name that the user gave."""
    entry = _split(folder, manifest, split)
    images, labels = (folder / f"{PREFIX[split]}{name}.npy" for name in ("images", "labels"))
    shape = (entry["images"], *law_of(manifest).shape)
    for path, size in ((images, HEADER + int(np.prod(shape))), (labels, None)):
        if not path.is_file() or (size is not None and path.stat().st_size != size):
            raise UserError(f"{path} is missing or cut short; copy or pack the set again")
    if checksum(labels) != entry["sha256"][labels.name]:
        raise UserError(f"{labels} is damaged: its checksum is not the manifest's; copy or pack the set again")
    return LabelledImages(
        images=np.load(images, mmap_mode="r", allow_pickle=False),
        labels=np.load(labels, allow_pickle=False),
        class_names=tuple(manifest["class_names"]),
        source=source,
        fingerprint=entry["fingerprint"],
    )


def as_source(folder: Path, split: Split) -> Source:
    """A split of a packed set as a source, to be inspected."""
    manifest = _manifest(folder)
    data = open_split(folder, manifest, split, str(folder))
    stamp = (manifest["identity"], split)
    kind = f"packed from {manifest['kind']}"
    splits: tuple[Split, ...] = ("train", "test") if "test" in manifest["splits"] else ("train",)
    return Source(str(folder), kind, PlanarImages(data.images, stamp), data.labels, data.class_names, splits)


def verify(folder: Path) -> list[str]:
    """The files of a packed set that are missing or whose checksum is not the manifest's."""
    sums = [pair for entry in _manifest(folder)["splits"].values() for pair in entry["sha256"].items()]
    return [name for name, sha in sums if not (folder / name).is_file() or checksum(folder / name) != sha]


def law_of(manifest: dict[str, Any]) -> Law:
    """How its images were made."""
    return Law(**{name: value for name, value in manifest["law"].items() if name != "version"})


def _size(shape: tuple[int, int, int]) -> str:
    channels, height, width = shape
    return f"{height} x {width} with {channels} channel{'s' if channels > 1 else ''}"


def _manifest(folder: Path) -> dict[str, Any]:
    manifest = read_manifest(folder)
    if manifest is None:
        raise UserError(f"{folder} is no packed set")
    return manifest


def _split(folder: Path, manifest: dict[str, Any], split: str) -> dict[str, Any]:
    if split not in manifest["splits"]:
        raise UserError(f"{folder} has no {split} split; pack it again with --test-fraction, or from a source with one")
    entry: dict[str, Any] = manifest["splits"][split]
    return entry
