"""A run as one page: `RUN/report.html`, rewritten as training goes, that opens without a network.

Sheets over time, curves of losses, logits, metrics, singular values and speed, what the watchdog said, the
configuration with what differs from the nearest preset, and the data's classes. The page is `report.html`
beside this file, with the run's numbers and pictures in it as JSON.

Notable: the page stays small however long a run is: at most `POINTS` points a curve and `FRAMES` sheets, as
WebP of at most `SHEET_BYTES` together.
"""

import base64
import io
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from biggan.config import to_mapping
from biggan.errors import UserError
from biggan.files import write_text
from biggan.presets import PRESETS
from biggan.tracker import read_lines

POINTS = 400
FRAMES = 24
SHEET_BYTES = 2_500_000
SHEET_SIZE = 900            # pixels of the longer side
NOT_CURVES = frozenset({"images_seen", "step"})
OF_THE_MACHINE = frozenset({"data", "device", "class_names", "num_classes"})       # differ without being a choice

Point = tuple[float, float]


def write_report(run: Path) -> Path:
    """Write `RUN/report.html` from what lies in the run's folder; UserError if there is no run."""
    page = resources.files(__package__).joinpath("report.html").read_text(encoding="utf-8")
    content = json.dumps(gather(run), separators=(",", ":"))
    # Within a script element only "<" could end the data.
    write_text(run / "report.html", page.replace("{/* the run */}", content.replace("<", "\\u003c")))
    return run / "report.html"


def gather(run: Path) -> dict[str, Any]:
    """Everything the page shows, as JSON values."""
    try:
        config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"{run} is no run: its config.yaml cannot be read ({error})") from error
    lines = read_lines(run / "log.jsonl")
    preset, differing = nearest_preset(config)
    classes = run / "classes.json"
    return {
        "name": run.resolve().name,
        "images_seen": max((line["images_seen"] for line in lines), default=0),
        "images": config["images"],
        "curves": curves(lines),
        "singular_values": curves(read_lines(run / "signals.jsonl")),
        "notes": [line for line in lines if "alarm" in line],
        "sheets": sheets(sorted((run / "previews").glob("*.png"))),
        "config": config,
        "preset": preset,
        "differing": differing,
        "classes": json.loads(classes.read_text(encoding="utf-8")) if classes.is_file() else {},
    }


def curves(lines: Sequence[Mapping[str, Any]]) -> dict[str, list[Point]]:
    """The numbers of a log by name, as points (images seen, value), thinned to at most `POINTS` each."""
    found: dict[str, list[Point]] = defaultdict(list)
    for line in lines:
        for name, value in line.items():
            if name not in NOT_CURVES and isinstance(value, int | float):
                found[name].append((line["images_seen"], value))
    return {name: thinned(points) for name, points in found.items()}


def thinned(points: Sequence[Point]) -> list[Point]:
    """At most `POINTS` means of neighbouring points; a number that is not finite stays, as nothing."""
    step = -(-len(points) // POINTS) or 1
    parts = [points[k : k + step] for k in range(0, len(points), step)]
    return [(part[-1][0], _rounded(sum(value for _, value in part) / len(part))) for part in parts]


def _rounded(value: float) -> Any:
    finite = value == value and abs(value) != float("inf")
    return float(f"{value:.5g}") if finite else None


def nearest_preset(config: Mapping[str, Any]) -> tuple[str, dict[str, tuple[Any, Any]]]:
    """The preset that differs least from a configuration; what differs, as (preset's value, run's value)."""
    found = {}
    for name, recipe in PRESETS.items():
        network, train = recipe()
        values = {**to_mapping(network), **to_mapping(train)}
        differing = {key: (values[key], value) for key, value in config.items() if values.get(key, value) != value}
        found[name] = {key: both for key, both in differing.items() if key not in OF_THE_MACHINE}
    name = min(found, key=lambda name: len(found[name]))
    return name, found[name]


def sheets(files: Sequence[Path]) -> list[dict[str, Any]]:
    """Some previews, evenly over the run with the first and the last, as WebP in data URLs."""
    count = min(FRAMES, len(files))
    chosen = [files[round(k * (len(files) - 1) / max(count - 1, 1))] for k in range(count)]
    for quality in (85, 60, 35, 15, 1):
        made = [webp(file, quality) for file in chosen]
        if sum(map(len, made)) <= SHEET_BYTES:
            break
    return [
        {"images_seen": int(file.stem), "picture": "data:image/webp;base64," + base64.b64encode(data).decode()}
        for file, data in zip(chosen, made, strict=True)
    ]


def webp(file: Path, quality: int) -> bytes:
    """A picture as WebP, at most `SHEET_SIZE` pixels long."""
    with Image.open(file) as picture:
        picture.thumbnail((SHEET_SIZE, SHEET_SIZE))
        made = io.BytesIO()
        picture.save(made, "WEBP", quality=quality)
    return made.getvalue()
