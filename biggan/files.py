"""Writing files so that a crash, a kill or a full disk never leaves half of one."""

import contextlib
import fcntl
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from biggan.errors import UserError

_UMASK_LOCK = threading.Lock()


@contextlib.contextmanager
def atomic_write(path: Path, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success flush it to disk and rename it over `path`.

    Readers see the old file or the new one, never a part. On any failure the temporary file is removed and `path`
    is left as it was. Running out of space is a UserError. Without `durable` nothing waits for the disk: for many
    small files that are easily made again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())      # safetensors makes its files private
        if durable:
            flush(temporary)
        temporary.replace(path)
        if durable:
            flush(path.parent)
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}; "
            "existing files are untouched. Free some space or choose another folder"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    """The process's mask of permissions, which can only be read by setting it: by one thread at a time."""
    with _UMASK_LOCK:
        mask = os.umask(0)
        os.umask(mask)
    return mask


def flush(path: Path) -> None:
    """Ask the kernel to put a file, or a folder's list of names, onto the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_json(path: Path, mend: str = "") -> dict[str, Any]:
    """The JSON object in a file; a UserError, which says how to `mend` it, if it cannot be read or holds no object."""
    advice = f"; {mend}" if mend else ""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}{advice}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} cannot be read: it holds no JSON object{advice}")
    return content


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically, as UTF-8."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically."""
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


@contextlib.contextmanager
def exclusive(folder: Path, wait: bool = False) -> Iterator[None]:
    """Hold `folder` for this process; a second process waits or gets a UserError, a dead one's hold is gone.

    The holder may delete the folder in the end: who waited for it holds a new one then.
    """
    path, held = folder / ".lock", False
    while not held:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                raise UserError(f"{folder} is in use by another biggan process; wait or give another --out") from None
            held = _is_at(path, handle.fileno())
            if held:
                yield


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether an open file is still the one at a path."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def cache_folder() -> Path:
    """Where derived data is kept between commands: $BIGGAN_CACHE, else ~/.cache/biggan."""
    return Path(os.environ.get("BIGGAN_CACHE") or Path.home() / ".cache" / "biggan")
