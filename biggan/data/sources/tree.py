"""Files in a folder or in a zip archive, seen alike: names that users see, sizes, times, contents.

Hidden files, `__MACOSX` and what lies deeper than six folders are not there. An archive is never unpacked.
"""

import io
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Protocol

from PIL import Image

from biggan.data.sources.source import Finding
from biggan.errors import UserError

EXTENSIONS = frozenset({
    ".png", ".jpg", ".jpeg", ".jfif", ".webp", ".avif", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm",
})  # fmt: skip
MAX_DEPTH = 6
MAX_BYTES = 1 << 30     # of a file, which is read whole


class Entry(NamedTuple):
    """A file of a tree."""

    path: str                   # relative, with /
    size: int                   # bytes
    time: int                   # of its last change; in an archive its checksum

    @property
    def folder(self) -> str:
        """The folder that it lies in, relative; "" for the top."""
        return self.path.rpartition("/")[0]

    @property
    def extension(self) -> str:
        """Of its name, in lower case, with the dot."""
        stem, dot, extension = self.path.rpartition("/")[2].rpartition(".")
        return dot + extension.lower() if stem else ""

    @property
    def is_image(self) -> bool:
        """Whether its name says so."""
        return self.extension in EXTENSIONS


class Tree(Protocol):
    """A folder or an archive."""

    @property
    def name(self) -> str:
        """What the user called it."""

    @property
    def entries(self) -> list[Entry]:
        """All visible files, sorted by path."""

    @property
    def folders(self) -> list[str]:
        """All visible folders, sorted."""

    @property
    def findings(self) -> list[Finding]:
        """What could not be looked into."""

    def read(self, path: str) -> bytes:
        """The contents of a file; OSError."""


@dataclass(frozen=True)
class FolderTree:
    """A folder of the file system. Links are followed, but not back into a folder that they lie in."""

    root: Path
    folders: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its path."""
        return str(self.root)

    @cached_property
    def entries(self) -> list[Entry]:
        """All visible files, sorted by path."""
        found = sorted(self._walk(self.root, "", frozenset()))
        self.folders.sort()
        return found

    def read(self, path: str) -> bytes:
        """The contents of a file; OSError."""
        return (self.root / path).read_bytes()

    def _walk(self, folder: Path, prefix: str, above: frozenset[tuple[int, int]]) -> Iterator[Entry]:
        here = folder.stat()
        above |= {(here.st_dev, here.st_ino)}
        try:
            listing = list(os.scandir(folder))
        except PermissionError:
            self.findings.append(Finding("warning", "unreadable-folder", f"{folder} may not be read", "chmod it"))
            return
        for entry in listing:
            if is_hidden(entry.name):
                continue
            path = prefix + entry.name
            try:
                status = entry.stat()
            except OSError:
                text, advice = f"{path} is a link to nowhere or to itself", "Remove or mend it"
                self.findings.append(Finding("warning", "broken-link", text, advice))
                continue
            if not _is_text(path):
                text = f"{os.fsencode(path)!r} has a name that is not UTF-8, and was left out"
                self.findings.append(Finding("warning", "name", text, "Rename it"))
            elif stat.S_ISREG(status.st_mode):
                yield Entry(path, status.st_size, status.st_mtime_ns)
            elif not stat.S_ISDIR(status.st_mode):          # a pipe or a socket would be waited for
                continue
            elif (status.st_dev, status.st_ino) in above:
                text = f"{path} is a link back to a folder that it lies in, and was not followed"
                self.findings.append(Finding("warning", "link-loop", text, "Remove the link"))
            elif path.count("/") < MAX_DEPTH:
                self.folders.append(path)
                yield from self._walk(folder / entry.name, path + "/", above)


@dataclass(frozen=True)
class ZipTree:
    """A zip archive; if all of it lies in one folder, what is in that folder."""

    path: Path
    findings: list[Finding] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its path."""
        return str(self.path)

    @cached_property
    def archive(self) -> zipfile.ZipFile:
        """Opened once; zipfile locks its reads, so threads may share it."""
        try:
            return zipfile.ZipFile(self.path)
        except (OSError, zipfile.BadZipFile) as error:
            raise UserError(f"{self.path} cannot be read as a zip file: {error}; copy or download it again") from error

    @cached_property
    def _members(self) -> dict[str, zipfile.ZipInfo]:
        infos = [i for i in self.archive.infolist() if not any(map(is_hidden, i.filename.strip("/").split("/")))]
        if any(info.flag_bits & 1 for info in infos):
            raise UserError(f"{self.path} is encrypted; unpack it and give the folder")
        files = {info.filename: info for info in infos if not info.is_dir()}
        while True:
            tops = {name.partition("/")[0] if "/" in name else "" for name in files}
            top = next(iter(tops), "") + "/"
            inside = {name.removeprefix(top): info for name, info in files.items()}
            direct = [Entry(name, 0, 0) for name in inside if "/" not in name]
            if len(tops) != 1 or top == "/" or any(entry.is_image for entry in direct):
                return files
            files = inside

    @cached_property
    def entries(self) -> list[Entry]:
        """All visible files, sorted by path."""
        return sorted(Entry(name, info.file_size, info.CRC) for name, info in self._members.items())

    @cached_property
    def folders(self) -> list[str]:
        """All folders that have files, sorted."""
        found = {str(folder) for entry in self.entries for folder in PurePosixPath(entry.path).parents}
        return sorted(found - {"."})

    def read(self, path: str) -> bytes:
        """The contents of a file; OSError if it is damaged."""
        try:
            return self.archive.read(self._members[path])
        except (zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
            raise OSError(f"is damaged in the archive: {error}") from error


@dataclass(frozen=True)
class TreeImages:
    """Image files of a tree."""

    tree: Tree
    files: tuple[Entry, ...]

    def __len__(self) -> int:
        return len(self.files)

    def name(self, i: int) -> str:
        """Its path inside the tree."""
        return self.files[i].path

    def open(self, i: int) -> Image.Image:
        """The opened file; raises one of UNREADABLE."""
        if not self.files[i].size:
            raise OSError("is empty: 0 bytes")
        if self.files[i].size > MAX_BYTES:
            raise OSError(f"has {self.files[i].size / 1e9:.1f} GB, too much for an image")
        return Image.open(io.BytesIO(self.tree.read(self.files[i].path)))

    def stamp(self) -> object:
        """Paths, sizes and times."""
        return self.files


def _is_text(name: str) -> bool:
    """Whether a name can be written down as UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_hidden(name: str) -> bool:
    """Whether a file or folder is one that users do not mean."""
    return name.startswith(".") or name == "__MACOSX"
