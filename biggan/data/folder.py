"""A folder of class folders of images, decoded once and kept as a memory-mapped array.

The array lies in the cache folder under a hash of the file list with sizes and times, so the second
command on the same data starts at once and a set larger than memory is fine. The set's own fingerprint
is of pixels and labels, so a copy of the folder elsewhere is the same data.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from biggan.data.dataset import LabelledImages, fingerprint
from biggan.data.images import LAW_VERSION, Fit, prepare
from biggan.errors import UserError
from biggan.files import atomic_write, cache_folder, write_text

EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"})


def load(folder: Path, resolution: int, channels: int, fit: Fit, report: Callable[[str], None]) -> LabelledImages:
    """Every image of every class folder; `report` receives what the user should know.

    A file that cannot be decoded is skipped and named. Raises UserError if fewer than two classes
    remain or the images lie at another depth.
    """
    classes = find_classes(folder, report)
    files = [(file, label) for label, name in enumerate(classes) for file in classes[name]]
    stats = [(str(file.relative_to(folder)), (s := file.stat()).st_size, s.st_mtime_ns) for file, _ in files]
    key = fingerprint(stats, resolution, channels, fit, LAW_VERSION)
    target = cache_folder() / "folders" / f"{key}.npy"
    if not target.with_suffix(".json").is_file():
        _decode(folder, [file for file, _ in files], target, resolution, channels, fit, report)
    notes = json.loads(target.with_suffix(".json").read_text())
    skipped: dict[str, str] = notes["skipped"]
    for name, why in list(skipped.items())[:10]:
        report(f"skipped {name}: {why}")
    if len(skipped) > 10:
        report(f"skipped {len(skipped) - 10} more unreadable files")
    kept = [(file, label) for file, label in files if str(file.relative_to(folder)) not in skipped]
    labels = np.array([label for _, label in kept], dtype=np.int64)
    empty = sorted(set(range(len(classes))) - set(labels.tolist()))
    if empty:
        raise UserError(f"{folder / list(classes)[empty[0]]} has no readable image; remove it or mend its files")
    return LabelledImages(
        images=np.load(target, mmap_mode="r"),
        labels=labels,
        class_names=tuple(classes),
        source=str(folder),
        fingerprint=fingerprint(notes["pixels"], labels.tobytes(), tuple(classes)),
    )


def splits(folder: Path) -> dict[str, Path]:
    """The sub-folders train and test, if both are there and hold class folders rather than images."""
    found = {name: folder / name for name in ("train", "test")}
    halves = all(path.is_dir() and not image_files(path) for path in found.values())
    return found if halves else {}


def find_classes(folder: Path, report: Callable[[str], None]) -> dict[str, list[Path]]:
    """The image files of each class folder, both sorted by name."""
    subfolders = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    classes = {entry.name: image_files(entry) for entry in subfolders}
    if not any(classes.values()):
        deeper = [
            entry.name for entry in subfolders if any(image_files(sub) for sub in entry.iterdir() if sub.is_dir())
        ]
        if deeper:
            raise UserError(f"{folder} has its class folders one level deeper; use --data {folder / deeper[0]}")
        if image_files(folder):
            raise UserError(f"{folder} has images but no class folders; put each class into a sub-folder of its own")
        raise UserError(f"{folder} has no class folders with images ({', '.join(sorted(EXTENSIONS))}) and no IDX files")
    for name in [name for name, files in classes.items() if not files]:
        report(f"skipped {folder / name}: no images in it")
        del classes[name]
    return classes


def image_files(folder: Path) -> list[Path]:
    """The image files directly in a folder, sorted."""
    visible = (entry for entry in folder.iterdir() if not entry.name.startswith("."))
    return sorted(entry for entry in visible if entry.suffix.lower() in EXTENSIONS)


def _decode(
    folder: Path,
    files: list[Path],
    target: Path,
    resolution: int,
    channels: int,
    fit: Fit,
    report: Callable[[str], None],
) -> None:
    """Decode all files into `target` (.npy), then note unreadable ones and a hash of the pixels (.json)."""

    def decode(file: Path) -> NDArray[np.uint8] | str:
        try:
            with Image.open(file) as image:
                return prepare(image, resolution, channels, fit)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            return str(error) or type(error).__name__

    skipped: dict[str, str] = {}
    digest = hashlib.sha256()
    row = (channels, resolution, resolution)
    report(f"decoding {len(files):,} images of {folder} to {resolution} x {resolution} (once; kept in {target.parent})")
    with atomic_write(target) as temporary, ThreadPoolExecutor() as pool, temporary.open("wb") as handle:
        _write_header(handle, (len(files), *row))
        for i, result in enumerate(_in_order(pool, decode, files)):
            if isinstance(result, str):
                skipped[str(files[i].relative_to(folder))] = result
            else:
                handle.write(result.tobytes())
                digest.update(result.tobytes())
            if (i + 1) % 10_000 == 0:
                report(f"decoded {i + 1:,} of {len(files):,}")
        handle.seek(0)
        _write_header(handle, (len(files) - len(skipped), *row))
    write_text(target.with_suffix(".json"), json.dumps({"skipped": skipped, "pixels": digest.hexdigest()}))


def _write_header(handle: object, shape: tuple[int, ...]) -> None:
    """An .npy header of fixed size, so that the count can be corrected at the end."""
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    handle.write(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode())  # type: ignore[attr-defined]


def _in_order(
    pool: ThreadPoolExecutor, decode: Callable[[Path], NDArray[np.uint8] | str], files: list[Path]
) -> Iterable[NDArray[np.uint8] | str]:
    """Results in the order of the files, with a bounded number of them in memory."""
    for start in range(0, len(files), 1024):
        yield from pool.map(decode, files[start : start + 1024])
