"""The log of record: one JSON object a line in `log.jsonl`."""

import json
from pathlib import Path
from typing import Any

from biggan.files import write_text


class Tracker:
    """Appends to a run's JSONL log; a resumed run first drops what lies after its clock."""

    def __init__(self, path: Path, images_seen: int) -> None:
        self.path = path
        kept = [line for line in read_lines(path) if line["images_seen"] <= images_seen]
        write_text(path, "".join(json.dumps(line) + "\n" for line in kept))

    def log(self, **values: object) -> None:
        """Append one line. `images_seen` must be among the values."""
        with self.path.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(values) + "\n")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a JSONL log; a last line cut short by a kill is left out."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return [json.loads(line) for line in lines if line]
