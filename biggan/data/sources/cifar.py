"""CIFAR-10 and CIFAR-100 as their authors publish them for Python: pickles, in a folder or a .tar.gz.

A pickle is a program. These are read by an unpickler that knows plain containers, numbers and bytes, and
three names that NumPy's arrays are written with, for each of which an inert stand-in of ours is called. Any
other name ends the reading before anything runs. CIFAR-100 has its 100 fine labels.
"""

import io
import pickle
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biggan.data.sources.source import ArrayImages, Source, Split, file_stamps
from biggan.errors import UserError

_FILES: dict[str, dict[Split, tuple[str, ...]]] = {
    "CIFAR-10": {"train": tuple(f"data_batch_{n}" for n in range(1, 6)), "test": ("test_batch",)},
    "CIFAR-100": {"train": ("train",), "test": ("test",)},
}
_NAMES = {
    "CIFAR-10": ("batches.meta", "label_names", "labels"),
    "CIFAR-100": ("meta", "fine_label_names", "fine_labels"),
}
_SHAPE = (3, 32, 32)


def find(path: Path) -> str | None:
    """CIFAR-10 or CIFAR-100, if `path` is a folder of one or an archive by its name."""
    if path.is_dir():
        return next((name for name, (meta, _, _) in _NAMES.items() if _is_pickle(path / meta)), None)
    if path.name.lower().endswith((".tar.gz", ".tgz", ".tar")):
        return "CIFAR-100" if "100" in path.name else "CIFAR-10"
    return None


def load(path: Path, split: Split) -> Source:
    """The images of one split; UserError if a file is missing, damaged or holds anything else than arrays."""
    kind = find(path)
    if kind is None:
        raise UserError(f"{path} is no CIFAR-10 or CIFAR-100")
    meta, names_key, labels_key = _NAMES[kind]
    contents = _read_files(path, (meta, *_FILES[kind][split]))
    batches = [unpickle(contents[name], f"{path}: {name}") for name in _FILES[kind][split]]
    names = _entry(unpickle(contents[meta], f"{path}: {meta}"), names_key, f"{path}: {meta}")
    pixels = np.concatenate([_pixels(_entry(batch, "data", str(path)), path) for batch in batches])
    labels = np.concatenate([np.array(_entry(batch, labels_key, str(path)), dtype=np.int64) for batch in batches])
    if len(pixels) != len(labels) or not 0 <= labels.min(initial=0) <= labels.max(initial=0) < len(names):
        raise UserError(f"{path} is damaged: its images, labels and names of classes do not belong together")
    return Source(
        name=str(path),
        kind=f"the Python form of {kind}",
        images=ArrayImages(pixels, file_stamps([path] if path.is_file() else [path / name for name in contents])),
        labels=labels,
        class_names=tuple(name.decode() if isinstance(name, bytes) else str(name) for name in names),
        splits=("train", "test"),
    )


def unpickle(data: bytes, name: str) -> Any:
    """The plain containers, numbers, bytes and arrays in a pickle, without running anything; UserError."""
    try:
        return _plain(_Unpickler(io.BytesIO(data), encoding="bytes").load())
    except _ForbiddenError as error:
        raise UserError(f"{name} asks for {error}, which no CIFAR file does; do not use this file") from error
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, LookupError, MemoryError) as error:
        raise UserError(f"{name} is damaged or not CIFAR's: {' '.join(str(error).split())}") from error


class _ForbiddenError(Exception):
    """A name that a pickle may not use."""


class _Array:
    """Stands in for a NumPy array while it is read: keeps its state and does nothing."""

    def __init__(self, *arguments: object) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _DType(_Array):
    """Stands in for a dtype: all that it may be is unsigned bytes, which `_plain` sees to."""


def _encode(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes into an old pickle."""
    if encoding != "latin1":
        raise ValueError(f"encoding {encoding}")
    return text.encode("latin1")


_ALLOWED: dict[str, Callable[..., object]] = {
    "numpy.core.multiarray._reconstruct": _Array,
    "numpy._core.multiarray._reconstruct": _Array,
    "numpy.ndarray": _Array,
    "numpy.dtype": _DType,
    "_codecs.encode": _encode,
}


class _Unpickler(pickle.Unpickler):
    """Finds stand-ins, and nothing that could do anything."""

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in for a name; _ForbiddenError for any other."""
        if f"{module}.{name}" not in _ALLOWED:
            raise _ForbiddenError(f"{module}.{name}")
        return _ALLOWED[f"{module}.{name}"]


def _plain(value: Any) -> Any:
    """Stand-ins in a dictionary as arrays of unsigned bytes."""
    if isinstance(value, _Array):
        _, shape, _, fortran, raw = value.state
        array = np.frombuffer(raw, dtype=np.uint8)
        return array.reshape(shape, order="F" if fortran else "C")      # refuses any dtype but bytes, by its size
    return {_text(key): _plain(item) for key, item in value.items()} if isinstance(value, dict) else value


def _text(key: object) -> str:
    return key.decode("latin1") if isinstance(key, bytes) else str(key)


def _entry(batch: Any, key: str, name: str) -> Any:
    if not isinstance(batch, dict) or key not in batch:
        raise UserError(f"{name} has no {key}; is it a CIFAR file?")
    return batch[key]


def _pixels(data: Any, path: Path) -> NDArray[np.uint8]:
    """Rows of 3,072 bytes, channel by channel, as (N, 32, 32, 3)."""
    if not isinstance(data, np.ndarray) or data.ndim != 2 or data.shape[1] != int(np.prod(_SHAPE)):
        raise UserError(f"{path} is damaged: its images are not 32 x 32 in three channels")
    return np.ascontiguousarray(data.reshape(-1, *_SHAPE).transpose(0, 2, 3, 1))


def _read_files(path: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    """The contents of files of a folder or an archive, by their names."""
    try:
        if path.is_dir():
            return {name: (path / name).read_bytes() for name in names}
        with tarfile.open(path) as archive:
            members = {Path(member.name).name: member for member in archive if member.isfile()}
            missing = [name for name in names if name not in members]
            if missing:
                raise UserError(f"{path} has no {missing[0]}; is it the Python version of CIFAR-10 or CIFAR-100?")
            return {name: archive.extractfile(members[name]).read() for name in names}     # type: ignore[union-attr]
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise UserError(f"{path} cannot be read: {error}; copy or download it again") from error


def _is_pickle(path: Path) -> bool:
    """Whether a file begins as a pickle of the protocols 2 to 5 does, or one of protocol 0 or 1."""
    if not path.is_file():
        return False
    with path.open("rb") as handle:
        return handle.read(1) in (b"\x80", b"(", b"}")
