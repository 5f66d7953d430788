"""Labelled images, from where they are found to batches. `open_dataset` is the door.

room              what lives here
----------------  ------------------------------------------------------------------------
sources/          where images come from, a file a format; opened, not decoded
images.py         from any image file to pixels, by a law
packing.py, packed.py  sources to arrays, once; arrays to `LabelledImages`
inspection/       what is wrong with a data set, in words
sampler.py        which images a step sees
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biggan.data import digits, packed
from biggan.data.dataset import LabelledImages, to_float
from biggan.data.images import Fit, Resize, Size, height_and_width
from biggan.data.inspection import Inspection, inspect
from biggan.data.inspection.labels import of_labels, refuse
from biggan.data.packing import Law, divide, identity_of, pack, read_manifest, whole
from biggan.data.sampler import class_shares, real_indices, sample_indices
from biggan.data.sources import HUB, Finding, Source, Split, existing, open_source
from biggan.data.sources.source import PlanarImages, all_gray
from biggan.errors import UserError
from biggan.files import cache_folder

__all__ = [
    "Contents", "Finding", "LabelledImages", "as_source", "class_shares", "inspect_dataset", "open_dataset",
    "pack_dataset", "packed_law", "peek", "real_indices", "refuse", "sample_indices", "splits", "to_float",
]  # fmt: skip


def open_dataset(
    source: str,
    *,
    resolution: Size,
    channels: int,
    fit: Fit = "crop",
    split: Split = "train",
    report: Callable[[str], None] = lambda line: None,
) -> LabelledImages:
    """Open `source` at the given size: the word digits, a packed set, or anything that `open_source` knows.

    `resolution` is the side of a square, or height and width (`BigGANConfig.image_shape`).
    What is not packed is packed now, once, in the cache folder. `split` is one of `splits(source)`.
    `report` receives lines that the user should see, such as skipped files. Raises UserError.
    """
    if not isinstance(resolution, int) and resolution[0] == resolution[1]:
        resolution = resolution[0]              # one fingerprint for one size
    if source == "digits":
        if split != "train":
            raise UserError("digits has no test split")
        return digits.load(resolution, channels, fit)
    if _manifest(source) is not None:
        return packed.load(Path(source).expanduser(), split, resolution, channels)
    opened = open_source(source, split)
    if split == "train":
        refuse(of_labels(opened.class_names, opened.class_counts(), opened.name, opened.kind))
    for finding in opened.findings:
        if finding.level == "warning":
            report(finding.line)
    return _packed_in_cache(opened, Law(*height_and_width(resolution), channels, fit), report)


def _packed_in_cache(source: Source, law: Law, report: Callable[[str], None]) -> LabelledImages:
    """A source, packed in the cache folder under a hash of its files; so the second command starts at once."""
    parts = {"train": whole(source)}
    target = cache_folder() / "packs" / identity_of(parts, law)
    if not target.exists():
        size = f"{law.height} x {law.width}"
        report(f"decoding {len(source.labels):,} images of {source.name} to {size} (once; kept in {target.parent})")
    manifest = pack(parts, law, target, report, wait=True)
    skipped: dict[str, str] = manifest["splits"]["train"]["skipped"]
    for name, why in list(skipped.items())[:10]:
        report(f"skipped {name}: {why}")
    if len(skipped) > 10:
        report(f"skipped {len(skipped) - 10:,} more unreadable files")
    return packed.open_split(target, manifest, "train", source.name)


def pack_dataset(
    source: str,
    out: Path,
    *,
    resolution: Size,
    channels: int | None = None,
    fit: Fit = "crop",
    resize: Resize = "lanczos",
    test_fraction: float | None = None,
    workers: int = 0,
    report: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Pack all splits of a source into the folder `out`; the manifest. The same call goes on after a kill.

    Without `channels` images are gray if the first 200 seen are, spread over the set. `test_fraction`
    divides a source that has no test split. Raises UserError.
    """
    opened = {"train": open_source(_unpacked(source), "train")}
    first = opened["train"]
    refuse(of_labels(first.class_names, first.class_counts(), first.name, first.kind))
    if test_fraction is not None and "test" in first.splits:
        raise UserError(f"{source} has a test split; leave --test-fraction out")
    if "test" in first.splits:
        opened["test"] = open_source(source, "test")
    for finding in (finding for each in opened.values() for finding in each.findings if finding.level == "warning"):
        report(finding.line)
    if channels is None:
        channels = 1 if all_gray(first.images) else 3
        report(f"packing {'gray images' if channels == 1 else 'RGB'}; --channels changes it")
    parts = divide(first, test_fraction) if test_fraction else {split: whole(each) for split, each in opened.items()}
    return pack(parts, Law(*height_and_width(resolution), channels, fit, resize), out, report, workers)


def inspect_dataset(
    source: str,
    *,
    resolution: int | None = None,
    batch_size: int = 64,
    report: Callable[[str], None] = lambda line: None,
) -> Inspection:
    """Look at every image of a source and say what is wrong; UserError only if there is nothing at `source`.

    `resolution` and `batch_size` are those that it shall be trained with. Of a packed set the checksums are
    compared too.
    """
    if source != "digits" and not source.startswith(HUB) and read_manifest(path := existing(source)) is not None:
        damaged = packed.verify(path)
        if damaged:
            text = f"{' and '.join(damaged)} of {path} are missing or damaged: the checksums are not the manifest's"
            return Inspection(source, (Finding("fatal", "damaged", text, "Copy or pack the set again"),))
    opener = functools.partial(as_source, source)
    return inspect(opener, source, resolution=resolution, batch_size=batch_size, report=report)


def as_source(source: str, split: Split = "train") -> Source:
    """One split of anything that `open_dataset` opens, image by image and as it is found. Raises UserError."""
    if source == "digits":
        return _digits_as_source(split)
    if _manifest(source) is not None:
        return packed.as_source(Path(source).expanduser(), split)
    return open_source(source, split)


def _digits_as_source(split: Split) -> Source:
    data = digits.load(8, 1, "crop")
    return Source("digits", "digits", PlanarImages(data.images, data.fingerprint), data.labels, data.class_names)


def _unpacked(source: str) -> str:
    if source == "digits" or _manifest(source) is not None:
        raise UserError(f"{source} is packed already; give it to biggan train as --data")
    return source


def _manifest(source: str) -> dict[str, Any] | None:
    """The manifest of a source that is a packed set, else None."""
    return read_manifest(Path(source).expanduser()) if source else None


def packed_law(source: str) -> Law | None:
    """The size and channels that a packed set has, and no other; None for any other source."""
    manifest = _manifest(source)
    return packed.law_of(manifest) if manifest is not None else None


def splits(source: str) -> tuple[Split, ...]:
    """The splits that a source brings: train, and perhaps test."""
    if source == "digits":
        return ("train",)
    manifest = _manifest(source)
    return tuple(manifest["splits"]) if manifest is not None else open_source(source).splits


@dataclass(frozen=True)
class Contents:
    """What a look at the names and labels of a source tells."""

    class_names: tuple[str, ...]
    counts: NDArray[np.int64]           # images a class; files that cannot be decoded included
    findings: tuple[Finding, ...]       # what is wrong with them, the gravest first

    @property
    def images(self) -> int:
        """How many in all."""
        return int(self.counts.sum())


def peek(source: str, batch_size: int = 64) -> Contents:
    """The classes of a source and their sizes, without decoding an image. Raises UserError."""
    if source == "digits":
        data = digits.load(8, 1, "crop")
        return Contents(data.class_names, data.class_counts(), ())
    manifest = _manifest(source)
    if manifest is not None:
        names, counts = tuple(manifest["class_names"]), np.array(manifest["splits"]["train"]["class_counts"])
        return Contents(names, counts, tuple(of_labels(names, counts, source, "packed", batch_size)))
    opened = open_source(source)
    names, counts = opened.class_names, opened.class_counts()
    return Contents(names, counts, tuple(of_labels(names, counts, opened.name, opened.kind, batch_size)))
