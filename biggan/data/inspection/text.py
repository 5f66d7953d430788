"""An inspection for a terminal."""

import textwrap
from typing import Any

from biggan.data.inspection import Inspection

SHOWN = 20              # classes in the histogram; of more, the largest and the smallest
BAR = 30
_SIGNS = {"fatal": "x", "warning": "!", "note": "-"}


def as_text(inspection: Inspection) -> str:
    """Counts, sizes, modes, findings and the verdict, as lines."""
    numbers = inspection.numbers()
    lines = [inspection.source]
    if inspection.seen is not None:
        images = ", ".join(f"{count:,} in {split}" for split, count in numbers["images"].items())
        lines[0] += f": {numbers['kind']}, {len(inspection.seen.class_names)} classes, images: {images}"
        lines += ["", *_histogram(numbers["classes"]["train"]), ""]
        lines += [f"{label:16s}{text}" for label, text in facts(numbers).items()]
    lines.append("")
    listed = inspection.findings[0 if inspection.trainable else 1 :]        # a fatal one is the verdict
    for finding in listed:
        lines += _wrapped(f"{_SIGNS[finding.level]} {finding.line}")
    lines += [""] if listed else []
    lines += _wrapped(f"Verdict: {inspection.verdict}")
    if inspection.seen is not None and inspection.trainable and not numbers["kind"].startswith(("packed", "digits")):
        flags = [f"--{name} {value}" for name, value in inspection.suggestion().items() if value != "crop"]
        lines.append(f"Next: biggan data pack {inspection.source} {' '.join(flags)} --out DIR")
    return "\n".join(lines)


def _wrapped(line: str) -> list[str]:
    return textwrap.wrap(line, 112, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False)


def facts(numbers: dict[str, Any]) -> dict[str, str]:
    """Sizes, shapes, modes and formats, each as a line."""

    def spread(values: dict[str, float]) -> str:
        return ", ".join(f"{name} {value:g}" for name, value in values.items()) or "-"

    def counted(values: dict[str, int]) -> str:
        return ", ".join(f"{name} {count:,}" for name, count in values.items()) or "-"

    return {
        "short side, px": spread(numbers["short_side"]),
        "long : short": spread(numbers["long_over_short"]),
        "modes": counted(numbers["modes"]),
        "formats": counted(numbers["formats"]),
    }


def _histogram(counts: dict[str, int]) -> list[str]:
    """A bar a class, in the order of the classes; of very many the largest and the smallest."""
    items = list(counts.items())
    if len(items) > SHOWN:
        items = sorted(items, key=lambda item: -item[1])
        shown = [*items[: SHOWN // 2], ("...", 0), *items[-SHOWN // 2 :]]
    else:
        shown = items
    width = max(len(name) for name, _ in shown)
    most = max(count for _, count in shown)
    return [
        f"  {name:{width}s} {'' if name == '...' else f'{count:,}':>9s} {'#' * -(-BAR * count // most)}"
        for name, count in shown
    ]
