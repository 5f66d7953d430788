"""Packing: from any source to arrays of uint8 that training maps into memory.

    OUT/images.npy          (N, C, H, W) uint8          OUT/test_images.npy     where there is a test split
    OUT/labels.npy          (N,) int64                  OUT/test_labels.npy
    OUT/manifest.json       class names, law, checksums, skipped files

All of it is made in OUT.partial, which becomes OUT at the end: so OUT is whole or not there. Images are
appended in the order of the source, and a journal beside them says from time to time how far they are safe on
the disk. After a kill the same command cuts off what lies behind the journal and goes on, and the result is
the same to the byte. Memory holds a few chunks, whatever the size of the source.
"""

import dataclasses
import hashlib
import json
import os
import shutil
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image

from biggan.data.dataset import fingerprint
from biggan.data.images import LAW_VERSION, Fit, Resize, prepare
from biggan.data.ordered import default_workers, in_order
from biggan.data.sources.source import UNREADABLE, Images, Source, unreadable
from biggan.errors import UserError
from biggan.files import atomic_write, exclusive, flush, write_bytes, write_text
from biggan.progress import Progress

FORMAT, VERSION = "biggan-packed", 1
HEADER = 128                        # bytes before the pixels in an .npy file of ours
CHUNK = 4 << 20                     # bytes of pixels that a thread makes at a time
SAFE_EVERY = 1.0                    # seconds between lines of the journal
PREFIX = {"train": "", "test": "test_"}


@dataclass(frozen=True)
class Law:
    """How an image of any kind becomes pixels; part of every fingerprint."""

    height: int
    width: int
    channels: int
    fit: Fit = "crop"
    resize: Resize = "lanczos"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of an image: (C, H, W)."""
        return self.channels, self.height, self.width

    def apply(self, image: Image.Image) -> NDArray[np.uint8]:
        """An opened image as pixels (C, H, W)."""
        return prepare(image, (self.height, self.width), self.channels, self.fit, self.resize)


@dataclass(frozen=True)
class Part:
    """What becomes one split: some rows of a source."""

    source: Source
    rows: NDArray[np.int64]


def pack(
    parts: dict[str, Part],
    law: Law,
    out: Path,
    report: Callable[[str], None] = lambda line: None,
    workers: int = 0,
    wait: bool = False,
) -> dict[str, Any]:
    """Make the folder `out` of the splits "train" and perhaps "test", or go on where it was ended; its manifest.

    A file that cannot be decoded is skipped and named in the manifest. With `wait`, another process that
    packs the same is waited for. Raises UserError if `out` holds something else, if a class has no readable
    image, or if the disk is too small.
    """
    identity = identity_of(parts, law)
    partial = out.with_name(out.name + ".partial")
    if read_manifest(out) is None:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise UserError(f"{out} exists and is no packed set; give another --out")
        _check_space(parts, law, partial)
        with exclusive(partial, wait):
            if read_manifest(out) is None:      # or another process made it, which this one waited for
                _make(parts, law, identity, partial, report, workers or default_workers())
                partial.replace(out)
                flush(out.parent)
    manifest = read_manifest(out)
    if manifest is None or manifest["identity"] != identity:
        raise UserError(f"{out} was packed from something else or by another law; remove it or give another --out")
    return manifest


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a packed set, or None if the folder is not one; UserError if it is damaged or newer."""
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        if not (folder / "images.npy").exists():    # another program's manifest
            return None
        raise UserError(f"{path} cannot be read: {error}; pack the set again") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        return None
    if manifest.get("version") != VERSION:
        raise UserError(f"{folder} was packed by another version of biggan; pack it again")
    return manifest


def divide(source: Source, test_fraction: float) -> dict[str, Part]:
    """Train and test by class: of each the share with the smallest hashes of their names, at least one for train.

    So the division is the same on every machine, and a new image moves few of the others.
    """
    names = map(source.images.name, range(len(source.labels)))
    keys = np.array([int(fingerprint("split", name), 16) for name in names], dtype=np.uint64)
    test = np.zeros(len(keys), dtype=bool)
    for label in range(len(source.class_names)):
        rows = np.flatnonzero(source.labels == label)
        count = min(round(test_fraction * len(rows)), len(rows) - 1)
        test[rows[np.argsort(keys[rows], kind="stable")[:count]]] = True
    if not test.any():
        raise UserError(f"--test-fraction {test_fraction:g} of each class is no image; give a larger one")
    return {"train": Part(source, np.flatnonzero(~test)), "test": Part(source, np.flatnonzero(test))}


def whole(source: Source) -> Part:
    """All rows of a source."""
    return Part(source, np.arange(len(source.labels)))


# ---- filling the folder --------------------------------------------------------------------------------


def _make(
    parts: dict[str, Part], law: Law, identity: str, folder: Path, report: Callable[[str], None], workers: int
) -> None:
    """All files of a packed set in `folder`, the manifest last."""
    try:
        manifest = _fill(parts, law, identity, folder, report, workers)
        write_text(folder / "manifest.json", json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
        for name in ("images.journal", "test_images.journal", ".lock"):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot write {folder}: {error.strerror or error}; what is packed is kept. Mend it and give the same "
            "command again"
        ) from error


def _fill(
    parts: dict[str, Part], law: Law, identity: str, folder: Path, report: Callable[[str], None], workers: int
) -> dict[str, Any]:
    """All files but the manifest, which is returned."""
    splits = {}
    for split, part in parts.items():
        images, labels = (folder / f"{PREFIX[split]}{name}.npy" for name in ("images", "labels"))
        skipped = write_images(part, law, images, identity, report, workers)
        kept = np.array([row for row in part.rows if part.source.images.name(int(row)) not in skipped], dtype=np.int64)
        kept_labels = part.source.labels[kept]
        _check_classes(part.source, kept_labels, split, folder)
        with atomic_write(labels) as temporary, temporary.open("wb") as handle:
            np.save(handle, kept_labels, allow_pickle=False)
        checksums = {path.name: checksum(path, report) for path in (images, labels)}
        splits[split] = {
            "images": len(kept),
            "class_counts": np.bincount(kept_labels, minlength=len(part.source.class_names)).tolist(),
            "sha256": checksums,
            "fingerprint": fingerprint(*checksums.values(), part.source.class_names),
            "skipped": skipped,
        }
    first = parts["train"].source
    return {
        "format": FORMAT,
        "version": VERSION,
        "identity": identity,
        "source": first.name,
        "kind": first.kind,
        "law": dataclasses.asdict(law) | {"version": LAW_VERSION},
        "class_names": list(first.class_names),
        "splits": splits,
    }


def write_images(
    part: Part, law: Law, target: Path, identity: str, report: Callable[[str], None], workers: int
) -> dict[str, str]:
    """Decode the rows of a part into `target`, from where its journal ends; the names that were skipped, and why."""
    images, rows = part.source.images, part.rows
    journal = Journal(target.with_suffix(".journal"), identity)
    bytes_each = int(np.prod(law.shape))
    with target.open("r+b" if target.exists() else "w+b") as handle, warnings.catch_warnings():
        warnings.simplefilter("ignore")         # Pillow's, about odd but readable files
        done, kept, skipped = journal.done, journal.kept, dict(journal.skipped)
        if done:
            report(f"going on with {target.name} after {done:,} of {len(rows):,} images")
        handle.truncate(HEADER + kept * bytes_each)
        handle.seek(HEADER + kept * bytes_each)
        progress = Progress("packed", len(rows), report, done)
        size = max(1, min(256, CHUNK // bytes_each))
        safe = time.monotonic()
        try:
            for chunk, (pixels, failed) in in_order(
                lambda chunk: _decode(images, rows, chunk, law), done, len(rows), size, workers
            ):
                handle.write(pixels)
                done, kept = chunk.stop, kept + len(pixels) // bytes_each
                skipped |= failed
                progress.advance(len(chunk))
                if time.monotonic() - safe > SAFE_EVERY:
                    journal.write(handle, done, kept, skipped)
                    safe = time.monotonic()
        finally:                                # also on Ctrl-C: what is written whole is kept
            handle.truncate(HEADER + kept * bytes_each)
            journal.write(handle, done, kept, skipped)
        handle.seek(0)
        handle.write(npy_header((kept, *law.shape)))
    flush(target)
    return skipped


def _decode(images: Images, rows: NDArray[np.int64], chunk: range, law: Law) -> tuple[bytes, dict[str, str]]:
    """The pixels of a chunk of rows, and the names that could not be decoded."""
    pixels, failed = [], {}
    for row in rows[chunk.start : chunk.stop].tolist():
        try:
            with images.open(row) as image:
                pixels.append(law.apply(image).tobytes())
        except UNREADABLE as error:
            failed[images.name(row)] = unreadable(error)
    return b"".join(pixels), failed


class Journal:
    """How far an array is safe on the disk: a line of JSON now and then, the last whole one counts."""

    def __init__(self, path: Path, identity: str) -> None:
        self.path, self.identity = path, identity
        self.done, self.kept, self.skipped = 0, 0, dict[str, str]()
        whole, _, torn = (path.read_bytes() if path.is_file() else b"").rpartition(b"\n")
        if torn:                                # a line cut short by a kill or a full disk
            write_bytes(path, whole + b"\n" if whole else b"")
        for line in whole.splitlines():
            entry = json.loads(line)
            if entry["identity"] != identity:
                raise UserError(
                    f"{path.parent} is an unfinished pack of something else, or of files that changed since; "
                    "remove it or give another --out"
                )
            self.done, self.kept = entry["done"], entry["kept"]
            self.skipped |= entry["skipped"]

    def write(self, handle: BinaryIO, done: int, kept: int, skipped: dict[str, str]) -> None:
        """Put the array onto the disk, then a line that says so."""
        handle.flush()
        os.fsync(handle.fileno())
        new = {name: why for name, why in skipped.items() if name not in self.skipped}
        line = {"identity": self.identity, "done": done, "kept": kept, "skipped": new}
        with self.path.open("a", encoding="utf-8") as journal:
            journal.write(json.dumps(line) + "\n")
            journal.flush()
            os.fsync(journal.fileno())
        self.skipped = dict(skipped)


def npy_header(shape: tuple[int, ...]) -> bytes:
    """The header of an .npy file of uint8, always of HEADER bytes, so that it can be written at the end."""
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".ljust(HEADER - 11) + "\n"
    return b"\x93NUMPY\x01\x00" + (HEADER - 10).to_bytes(2, "little") + text.encode()


def checksum(path: Path, report: Callable[[str], None] = lambda line: None) -> str:
    """SHA-256 of a file, as sha256sum prints it."""
    digest = hashlib.sha256()
    size = path.stat().st_size
    if size > 8 << 30:
        report(f"computing the checksum of {path.name}, {size / 1e9:.0f} GB")
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


# ---- checks --------------------------------------------------------------------------------------------


def identity_of(parts: dict[str, Part], law: Law) -> str:
    """Changes whenever the packed bytes may: with the files, the rows, the labels, the law, the decoder."""
    each = [
        (split, part.source.images.stamp(), part.rows.tobytes(), part.source.labels.tobytes(), part.source.class_names)
        for split, part in parts.items()
    ]
    return fingerprint(each, law, LAW_VERSION, VERSION, PIL.__version__)


def _check_space(parts: dict[str, Part], law: Law, folder: Path) -> None:
    needed = sum(len(part.rows) for part in parts.values()) * int(np.prod(law.shape))
    there = sum(path.stat().st_size for path in folder.glob("*images.npy"))
    free = shutil.disk_usage(next(parent for parent in folder.absolute().parents if parent.is_dir())).free
    if needed - there > free:
        raise UserError(
            f"{folder.parent} has {free / 1e9:.1f} GB free and the packed images take {needed / 1e9:.1f} GB; "
            "free some space or choose another folder"
        )


def _check_classes(source: Source, labels: NDArray[np.int64], split: str, folder: Path) -> None:
    """UserError if all images of a class were skipped; nothing is left of the attempt."""
    empty = sorted(set(source.labels.tolist()) - set(labels.tolist())) if split == "train" else []
    if empty or not len(labels):
        shutil.rmtree(folder)
        where = f"class {source.class_names[empty[0]]!r} of {source.name}" if empty else f"the {split} split"
        raise UserError(f"{where} has no readable image; remove it or mend its files")
