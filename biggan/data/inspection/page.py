"""An inspection as one HTML page without scripts or other files: sheets and copies are inlined."""

import base64
import io
from importlib import resources

import jinja2
import numpy as np
from PIL import Image

from biggan.data.images import prepare
from biggan.data.inspection import Inspection
from biggan.data.inspection.images import Seen
from biggan.data.inspection.text import facts
from biggan.data.sources.source import UNREADABLE

SIDE = 64               # px of a sample
SAMPLES = 10            # a class
CLASSES = 200           # sheets; of more classes the largest and the smallest
COPIES = 30             # groups shown
UNREADABLE_SHOWN = 200


def as_page(inspection: Inspection) -> str:
    """The page; sheets show images spread over each class."""
    template = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
        resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    )
    numbers = inspection.numbers()
    level = "fatal" if not inspection.trainable else "warning" if inspection.verdict != "ready" else "ready"
    page = {"inspection": inspection, "numbers": numbers, "level": level}
    if inspection.seen is None:
        return template.render(page)
    return template.render(
        page | {
            "facts": facts(numbers),
            "classes": _classes(inspection, numbers["classes"]),
            "hidden": max(0, len(inspection.seen.class_names) - CLASSES),
            "copies": _copies(inspection),
            "unreadable": list(numbers["unreadable"].items())[:UNREADABLE_SHOWN],
        }
    )


def _classes(inspection: Inspection, counts: dict[str, dict[str, int]]) -> list[dict[str, object]]:
    """Name, counts, bar and sheet of each class."""
    seen = inspection.seen
    assert seen is not None
    most = max(counts["train"].values())
    order = list(range(len(seen.class_names)))
    if len(order) > CLASSES:
        by_size = sorted(order, key=lambda label: -counts["train"][seen.class_names[label]])
        order = by_size[: CLASSES // 2] + by_size[-CLASSES // 2 :]
    result: list[dict[str, object]] = []
    for label in order:
        name = seen.class_names[label]
        readable = (seen.labels == label) & (seen.split == 0) & (seen.records["error"] == b"")
        rows = np.flatnonzero(readable)
        chosen = rows[np.linspace(0, len(rows) - 1, min(SAMPLES, len(rows))).astype(int)] if len(rows) else rows
        result.append({
            "name": name,
            "counts": {split: each[name] for split, each in counts.items()},
            "share": 100 * counts["train"][name] / most,
            "sheet": _sheet(seen, chosen.tolist()),
        })
    return result


def _copies(inspection: Inspection) -> list[dict[str, object]]:
    """The first groups of copies, those between splits and classes before others."""
    seen = inspection.seen
    assert seen is not None
    groups = [("same pixels", group) for group in inspection.copies.exact]
    groups += [("nearly the same", pair) for pair in inspection.copies.near]
    groups.sort(key=lambda group: len({*seen.split[group[1]]}) == 1 and len({*seen.labels[group[1]]}) == 1)
    return [
        {
            "how": how,
            "names": [f"{seen.name(row)} ({seen.class_names[seen.labels[row]]})" for row in group[:SAMPLES].tolist()],
            "sheet": _sheet(seen, group[:SAMPLES].tolist()),
        }
        for how, group in groups[:COPIES]
    ]


def _sheet(seen: Seen, rows: list[int]) -> str:
    """Images side by side, as the address of an inlined picture; "" for none."""
    sheet = Image.new("RGB", (max(1, len(rows)) * (SIDE + 2), SIDE), "white")
    first = len(seen.sources["train"].labels)
    for n, row in enumerate(rows):
        images = seen.sources["train" if row < first else "test"].images
        try:
            with images.open(row if row < first else row - first) as image:
                pixels = prepare(image, SIDE, 3, "crop")
        except UNREADABLE:                      # it was readable when it was scanned: gone or changed since
            continue
        sheet.paste(Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))), (n * (SIDE + 2), 0))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode() if rows else ""
