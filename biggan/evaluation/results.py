"""Results as files, and ranking two of them, which is refused where they were not measured alike."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from biggan.config import unknown_name
from biggan.errors import UserError
from biggan.evaluation.protocol import FORMAT
from biggan.files import read_json, write_text

# Of a result's part "protocol", what does not change the meaning of a number.
LABELS = frozenset({"name", "reference", "extras", "seed"})


def write_result(path: Path, result: Mapping[str, Any]) -> None:
    """Write a result as JSON, atomically."""
    write_text(path, json.dumps(result, indent=2) + "\n")


def read_result(path: Path) -> dict[str, Any]:
    """A result of `evaluate` from its file; UserError if it is something else."""
    result = read_json(path)
    if result.get("format") != FORMAT:
        raise UserError(f"{path} is not a result of biggan evaluate (its format is not {FORMAT!r}); measure it again")
    return result


def differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The fields of two results' protocols that differ and matter, with both values."""
    first, second = a["protocol"], b["protocol"]
    names = sorted((first.keys() | second.keys()) - LABELS)
    return {n: (first.get(n), second.get(n)) for n in names if first.get(n) != second.get(n)}


def compare(a: Mapping[str, Any], b: Mapping[str, Any], ignoring: Collection[str] = ()) -> dict[str, tuple[Any, Any]]:
    """The metrics that two results share, with both values.

    UserError naming what differs unless they were measured alike; `ignoring` names fields that may differ.
    """
    known = (a["protocol"].keys() | b["protocol"].keys()) - LABELS
    for name in ignoring:
        if name not in known:
            raise UserError(f"--ignoring: {unknown_name(name, known, 'field of the protocol')}")
    differing = {name: pair for name, pair in differences(a, b).items() if name not in ignoring}
    if differing:
        listed = "; ".join(f"{name}: {first} / {second}" for name, (first, second) in differing.items())
        raise UserError(
            f"the two results were not measured alike and are not ranked ({listed}). Measure both in one way, or "
            f"name what may differ: --ignoring {' '.join(differing)}"
        )
    return {name: (a["metrics"][name], b["metrics"][name]) for name in a["metrics"] if name in b["metrics"]}
