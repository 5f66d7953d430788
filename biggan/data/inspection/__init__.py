"""What is wrong with a data set, and what to do about it: `inspect` gives an `Inspection`.

file            what
--------------  ------------------------------------------------------------------
labels.py       what names and labels alone tell; training does this by itself
scanning.py     a look at every image
duplicates.py   the same picture twice
images.py       what the scan tells
text.py         an inspection for a terminal
page.py         an inspection as a page
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from biggan.data.inspection.images import Copies, Seen, counts_of, find_copies, of_images, text_of
from biggan.data.inspection.labels import of_labels
from biggan.data.inspection.scanning import scan
from biggan.data.sources import Finding, Source
from biggan.errors import UserError

__all__ = ["Inspection", "inspect"]

_GRAVITY = {"fatal": 0, "warning": 1, "note": 2}
_RESOLUTIONS = (16, 32, 64, 128, 256, 512)


@dataclass(frozen=True)
class Inspection:
    """What was seen in a data set. Without `seen`, it could not even be opened."""

    source: str
    findings: tuple[Finding, ...]               # the gravest first
    seen: Seen | None = None
    copies: Copies = field(default_factory=lambda: Copies([], []))

    @property
    def trainable(self) -> bool:
        """Whether anything can be learnt from it."""
        return not any(finding.level == "fatal" for finding in self.findings)

    @property
    def verdict(self) -> str:
        """In one line."""
        if not self.trainable:
            return f"cannot be trained: {self.findings[0].line}"
        warnings = [finding.text for finding in self.findings if finding.level == "warning"]
        more = [f"{len(warnings) - 3} more"] if len(warnings) > 3 else []
        return f"trainable, but {'; '.join(warnings[:3] + more)}" if warnings else "ready"

    def suggestion(self) -> dict[str, int | str]:
        """Flags to pack it with: a resolution that most images have, and 4 channels where most are transparent."""
        assert self.seen is not None
        sides = np.sort(np.minimum(self.seen.readable["width"], self.seen.readable["height"]))
        side = int(sides[len(sides) // 10]) if len(sides) else 16
        flags: dict[str, int | str] = {"channels": 4} if self.seen.readable["transparent"].mean() > 0.5 else {}
        near = next((size for size in _RESOLUTIONS if side < size <= 1.25 * side), None)
        if near and sides[0] == sides[-1]:              # 28 px drawings: a border instead of blur
            return {"resolution": near, "fit": "pad", **flags}
        largest = max((size for size in _RESOLUTIONS if size <= side), default=_RESOLUTIONS[0])
        return {"resolution": largest, "fit": "crop", **flags}

    def numbers(self) -> dict[str, Any]:
        """All of it as plain values, for JSON."""
        findings = [vars(finding) for finding in self.findings]
        result: dict[str, Any] = {"source": self.source, "verdict": self.verdict, "trainable": self.trainable}
        if self.seen is None:
            return result | {"findings": findings}
        seen, first = self.seen, self.seen.sources["train"]
        bad = np.flatnonzero(seen.records["error"] != b"").tolist()
        return result | {
            "kind": first.kind,
            "images": {split: len(source.labels) for split, source in seen.sources.items()},
            "classes": {
                split: dict(zip(first.class_names, self.counts(source), strict=True))
                for split, source in seen.sources.items()
            },
            "short_side": quantiles(np.minimum(seen.readable["width"], seen.readable["height"])),
            "long_over_short": quantiles(aspect_ratios(seen)),
            "modes": counts_of(seen, "mode"),
            "formats": counts_of(seen, "format"),
            "unreadable": {seen.name(i): text_of(seen.records["error"][i]) for i in bad},
            "exact_copies": [[seen.name(i) for i in group.tolist()] for group in self.copies.exact],
            "near_copies": [[seen.name(i) for i in pair.tolist()] for pair in self.copies.near],
            "suggestion": self.suggestion(),
            "findings": findings,
        }

    def counts(self, source: Source) -> list[int]:
        """Images of each class of the train split in a split."""
        assert self.seen is not None
        names = {name: int(count) for name, count in zip(source.class_names, source.class_counts(), strict=True)}
        return [names.get(name, 0) for name in self.seen.class_names]


def inspect(
    open_split: Callable[[Any], Source],
    name: str,
    *,
    resolution: int | None = None,
    batch_size: int = 64,
    report: Callable[[str], None] = lambda line: None,
    workers: int = 0,
) -> Inspection:
    """Look at every image of every split that `open_split` opens; `resolution` is what it shall be trained at.

    A set that cannot be opened is an inspection with that as its one finding.
    """
    try:
        first = open_split("train")
        sources = {"train": first} | ({"test": open_split("test")} if "test" in first.splits else {})
    except UserError as error:
        return Inspection(name, (Finding("fatal", "structure", str(error)),))
    train, test = first, sources.get("test")
    position = {name: label for label, name in enumerate(train.class_names)}
    seen = Seen(
        sources=sources,
        records=np.concatenate([scan(source.images, report, workers) for source in sources.values()]),
        labels=np.concatenate([
            np.array([position[source.class_names[label]] for label in source.labels], dtype=np.int64)
            for source in sources.values()
        ]),
        split=np.repeat([0, 1], [len(train.labels), len(test.labels) if test else 0]),
    )
    copies = find_copies(seen)
    findings = [
        *of_labels(train.class_names, train.class_counts(), train.name, train.kind, batch_size),
        *(finding for source in sources.values() for finding in source.findings),
        *of_images(seen, copies, resolution),
    ]
    ordered = sorted(dict.fromkeys(findings), key=lambda finding: _GRAVITY[finding.level])
    return Inspection(name, tuple(ordered), seen, copies)


def aspect_ratios(seen: Seen) -> Any:
    """Long side over short side of each readable image."""
    sides = seen.readable["width"].astype(float), seen.readable["height"].astype(float)
    return np.maximum(*sides) / np.minimum(*sides)


def quantiles(values: Any) -> dict[str, float]:
    """Least, 5 %, median, 95 % and most."""
    if not len(values):
        return {}
    points = {"min": 0, "5%": 0.05, "median": 0.5, "95%": 0.95, "max": 1}
    return {name: round(float(np.quantile(values, q)), 2) for name, q in points.items()}
