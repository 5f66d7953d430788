"""What a look at every image tells: damage, sizes, modes, copies."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biggan.data.inspection.duplicates import exact_groups, near_pairs
from biggan.data.sources.source import Finding, Level, Source

WIDE = 2.0              # aspect ratio beyond which a centre crop loses half
HUGE = 50_000_000       # pixels
MANY = 0.05             # part of all images from which a note becomes a warning


@dataclass(frozen=True)
class Seen:
    """The records of all images of all splits, one after the other."""

    sources: dict[str, Source]
    records: NDArray[np.void]               # (N,) scanning.RECORD
    labels: NDArray[np.int64]               # (N,)
    split: NDArray[np.int64]                # (N,) 0 train, 1 test

    @property
    def class_names(self) -> tuple[str, ...]:
        """Of the train split."""
        return self.sources["train"].class_names

    @property
    def readable(self) -> NDArray[np.void]:
        """Records of the images that can be decoded."""
        return self.records[self.records["error"] == b""]

    def name(self, row: int) -> str:
        """What a user calls an image."""
        train = self.sources["train"]
        if row < len(train.labels):
            return train.images.name(row)
        name = self.sources["test"].images.name(row - len(train.labels))
        return name if "/" in name else f"{name} of test"


@dataclass(frozen=True)
class Copies:
    """Rows of images that are there more than once."""

    exact: list[NDArray[np.int64]]          # groups of the same pixels
    near: list[NDArray[np.int64]]           # pairs of nearly the same picture


def find_copies(seen: Seen) -> Copies:
    """Exact groups and near pairs, over all classes and splits; images of one colour left out."""
    groups = [group for group in exact_groups(seen.records) if not seen.records["blank"][group[0]]]
    return Copies(groups, list(near_pairs(seen.records)))


def of_images(seen: Seen, copies: Copies, resolution: int | None) -> list[Finding]:
    """Findings from the records, the gravest first within each kind."""
    return [
        *_of_damage(seen),
        *_of_copies(seen, copies.exact, "exact"),
        *_of_copies(seen, copies.near, "near"),
        *_of_shapes(seen, resolution),
        *_of_modes(seen),
    ]


def _of_damage(seen: Seen) -> list[Finding]:
    findings = []
    bad = np.flatnonzero(seen.records["error"] != b"")
    train = seen.split == 0
    left = np.bincount(
        seen.labels[train & (seen.records["error"] == b"")], minlength=len(seen.class_names)
    )
    dead = [name for name, count in zip(seen.class_names, left, strict=True) if not count]
    if dead:
        text = f"class {dead[0]!r} has no readable image" if len(dead) < len(left) else "no image can be read"
        findings.append(Finding("fatal", "class-unreadable", text, "Remove it or mend its files"))
    if len(bad):
        which = ", ".join(f"{seen.name(i)} ({text_of(seen.records['error'][i])})" for i in bad[:3])
        which += ", ..." if len(bad) > 3 else ""
        text = f"{_count(len(bad), 'file')} cannot be read and will be skipped: {which}"
        findings.append(Finding("warning", "unreadable", text, "Mend or remove them"))
    blank = np.flatnonzero(seen.records["blank"])
    if len(blank):
        text = f"{_count(len(blank), 'image')} of one colour all over, such as {seen.name(blank[0])}"
        findings.append(Finding("warning", "blank", text, "Remove what is no picture"))
    return findings


def _of_copies(seen: Seen, groups: list[NDArray[np.int64]], how: str) -> list[Finding]:
    """Copies between the splits, across classes and within a class; each group counts as the worst that it is."""
    kinds: dict[str, list[NDArray[np.int64]]] = {"test": [], "across": [], "within": []}
    for group in groups:
        if len(set(seen.split[group].tolist())) > 1:
            kinds["test"].append(group)
        elif len(set(seen.labels[group].tolist())) > 1:
            kinds["across"].append(group)
        else:
            kinds["within"].append(group)
    same = "the same pixels" if how == "exact" else "nearly the same picture"
    words = {
        "test": ("in train and test", "Scores against the test split flatter: remove them from one of the two"),
        "across": ("in several classes", "They teach that the label does not matter: keep each in its right class"),
        "within": ("within a class", "They count twice and are learnt by heart: keep one of each"),
    }
    findings = []
    for kind, found in kinds.items():
        if found:
            count = sum(len(group) - 1 for group in found)
            first, *others = found[0].tolist()
            here = (seen.split[first], seen.labels[first])
            other = next((row for row in others if (seen.split[row], seen.labels[row]) != here), others[0])
            example = f"{seen.name(first)} and {seen.name(other)}"
            text = f"{_count(count, 'copy' if how == 'exact' else 'pair')} of {same} {words[kind][0]}"
            few = count < (MANY if kind == "within" else 0 if how == "exact" else MANY / 10) * len(seen.records)
            level: Level = "note" if few else "warning"
            findings.append(Finding(level, f"{how}-copies-{kind}", f"{text}, such as {example}", words[kind][1]))
    return findings


def _of_shapes(seen: Seen, resolution: int | None) -> list[Finding]:
    findings = []
    width, height = (seen.records[side].astype(np.int64) for side in ("width", "height"))
    short, long = np.minimum(width, height), np.maximum(width, height)
    limit = resolution or 16

    def named(row: np.int64) -> str:
        return f"{seen.name(int(row))} ({width[row]} x {height[row]})"

    small = np.flatnonzero((short > 0) & (short < limit))
    if len(small):
        example = f"such as {named(small[short[small].argmin()])}"
        text = f"{_count(len(small), 'image')} smaller than {limit} px, {example}"
        advice = "Enlarged they blur: use a smaller resolution, --fit pad, or remove them"
        findings.append(Finding(_level(small, seen), "small", text, advice))
    wide = np.flatnonzero(long > WIDE * short)
    if len(wide):
        example = f"such as {named(wide[(long[wide] / short[wide]).argmax()])}"
        text = f"{_count(len(wide), 'image')} longer than {WIDE:g}:1, {example}"
        advice = "A centre crop loses their ends: crop them yourself, or use --fit pad"
        findings.append(Finding(_level(wide, seen), "long", text, advice))
    huge = np.flatnonzero(width * height > HUGE)
    if len(huge):
        text = f"{_count(len(huge), 'image')} of more than 50 million pixels, such as {seen.name(huge[0])}"
        findings.append(Finding("note", "huge", text, "They are decoded whole and slow packing down"))
    return findings


def _of_modes(seen: Seen) -> list[Finding]:
    findings = []
    r = seen.records
    sixteen = np.isin(r["mode"], [b"I", b"F"]) | np.char.startswith(r["mode"], b"I;16")
    rows: dict[str, tuple[str, NDArray[np.bool_], str]] = {
        "cmyk": ("in CMYK", r["mode"] == b"CMYK", "They become RGB without their colour profile; look at the sheet"),
        "sixteen-bit": ("with 16 bits or floats", sixteen, "They are scaled to 8 bits, 65535 to white"),
        "animated": ("animated", r["animated"], "The first frame is taken"),
        "rotated": ("rotated by EXIF", r["rotated"], "They are turned upright"),
        "transparent": ("transparent", r["transparent"], "They are laid over white; --channels 4 keeps transparency"),
    }
    for kind, (text, mask, advice) in rows.items():
        found = np.flatnonzero(mask)
        if len(found):
            line = f"{_count(len(found), 'image')} {text}, such as {seen.name(found[0])}"
            findings.append(Finding("note", kind, line, advice))
    gray = seen.readable["gray"]
    if gray.any() and not gray.all():
        i = int(np.flatnonzero(r["gray"] & (r["error"] == b""))[0])
        text = f"{_count(int(gray.sum()), 'image')} without colour among {_count(int((~gray).sum()), 'image')} with, "
        advice = "All become RGB; --channels 1 makes all gray"
        findings.append(Finding("note", "gray", f"{text}such as {seen.name(i)}", advice))
    return findings


def counts_of(seen: Seen, field: str) -> dict[str, int]:
    """How many readable images have each mode or format, most frequent first."""
    return {text_of(value): count for value, count in Counter(seen.readable[field].tolist()).most_common()}


def text_of(value: bytes) -> str:
    """A text of a record."""
    return value.decode("utf-8", "replace")


def _level(rows: NDArray[np.int64], seen: Seen) -> Level:
    """A warning if many images are like that, else a note."""
    return "warning" if len(rows) > MANY * len(seen.records) else "note"


def _count(count: int, what: str) -> str:
    """A number with its noun."""
    several = "copies" if what == "copy" else what + "s"
    return f"{count:,} {what if count == 1 else several}"
