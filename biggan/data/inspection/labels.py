"""What labels and names alone tell: the cheap part of an inspection, which `biggan train` does by itself."""

import unicodedata
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from biggan.data.sources.source import Finding
from biggan.errors import UserError

DOMINANT = 10           # times the median class
IMBALANCE = 10          # largest class over smallest
FEW = 5_000             # images, below which augmentation helps much (Zhao et al. 2020 see gains up to 50,000)
_SPLIT_WORDS = frozenset({"train", "training", "test", "testing", "val", "valid", "validation"})


def of_labels(
    class_names: tuple[str, ...], counts: NDArray[np.int64], source: str, kind: str, batch_size: int = 64
) -> list[Finding]:
    """Findings from the classes' names and sizes, the gravest first."""
    if len(class_names) == 1:
        text = f"{source} has one class, {class_names[0]!r}; a class-conditional model needs at least two"
        advice = f"All {counts.sum():,} images have this label: the labels were written wrongly, or classes are missing"
        if kind == "class folders":
            advice = "Put each class into a sub-folder of its own"
        return [Finding("fatal", "one-class", text, advice)]
    return [*_of_sizes(class_names, counts, batch_size), *_of_names(class_names)]


def _of_sizes(class_names: tuple[str, ...], counts: NDArray[np.int64], batch_size: int) -> list[Finding]:
    findings = []
    least, most = int(counts.argmin()), int(counts.argmax())
    ratio = counts[most] / counts[least]
    if ratio >= IMBALANCE:
        text = f"the classes are unequal, {ratio:.0f}:1 ({class_names[most]} {counts[most]:,}, "
        text += f"{class_names[least]} {counts[least]:,})"
        advice = "Small classes will lack variety: add images, or show them more often by --real-labels sqrt"
        findings.append(Finding("warning", "imbalance", text, advice))
    small = [f"{name} {count}" for name, count in zip(class_names, counts, strict=True) if count < batch_size]
    if small:
        text = f"{_some(small, 'has', 'have', f'fewer images than a batch of {batch_size}')}"
        advice = "A model learns them by heart: add images, merge classes, or use --augment translation cutout color"
        findings.append(Finding("warning", "tiny-class", text, advice))
    median = float(np.median(counts))
    dominant = [n for n, c in zip(class_names, counts, strict=True) if c >= DOMINANT * median and len(counts) > 2]
    if dominant:
        share = counts.max() / counts.sum()
        text = f"{_some(dominant, 'is', 'are', f'{DOMINANT} times the median or more')}, up to {share:.0%} of all"
        findings.append(Finding("warning", "dominant-class", text, "Most of what D sees is of them: take fewer"))
    if counts.sum() < FEW and not small:
        text = f"{counts.sum():,} images are few for a GAN"
        findings.append(Finding("note", "few-images", text, "Use --augment translation cutout color"))
    return findings


def _of_names(class_names: tuple[str, ...]) -> list[Finding]:
    findings = []
    by_fold: dict[str, list[str]] = {}
    for name in class_names:
        by_fold.setdefault("".join(unicodedata.normalize("NFC", name).split()).casefold(), []).append(name)
    alike = [names for names in by_fold.values() if len(names) > 1]
    if alike:
        pairs = ", ".join(" and ".join(map(repr, names)) for names in alike[:3])
        text = f"class names differ only in case or spaces: {pairs}"
        findings.append(Finding("warning", "names-alike", text, "If they are one class, move their images together"))
    splits = [name for name in class_names if name.lower() in _SPLIT_WORDS]
    if splits:
        text = f"{_some(splits, 'is', 'are', 'named like a part of a data set')}"
        advice = "If they are, put a folder for each class inside, or merge the parts"
        findings.append(Finding("warning", "split-as-class", text, advice))
    return findings


def refuse(findings: Iterable[Finding]) -> None:
    """UserError with the first finding that makes training impossible."""
    for finding in findings:
        if finding.level == "fatal":
            raise UserError(finding.line)


def _some(names: list[str], one: str, several: str, what: str) -> str:
    """A sentence on a number of classes, with up to three of them."""
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return f"{len(names)} {f'class {one}' if len(names) == 1 else f'classes {several}'} {what} ({shown})"
