"""Checkpoints: all that resuming needs, in one safetensors file, written atomically.

Notable:
- A checksum of every tensor and number stands in the file's header, so a bit that flipped on the disk is
  found before it trains on.
- What is kept: the newest few, the best by a metric, and a ring that reaches back far enough to lie
  before a collapse.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from biggan import distributed
from biggan.errors import UserError
from biggan.files import atomic_write
from biggan.sharding import whole
from biggan.state import TrainState

FORMAT = "biggan-checkpoint-2"
LOWER_IS_BETTER = frozenset({"fid", "kid"})
UNREADABLE = (SafetensorError, OSError, ValueError, KeyError, RuntimeError)


@dataclass(frozen=True)
class Retention:
    """Which checkpoints stay.

    newest  so many of the last ones
    span    and, over the images before, a ring that reaches back at least this far ...
    ring    ... in about so many steps
    metric  and the best one by this metric of those saved with it
    """

    newest: int = 2
    span: int = 0
    ring: int = 4
    metric: str = ""


def checkpoint_files(run: Path) -> list[Path]:
    """The checkpoints of a run, oldest first."""
    return sorted((run / "checkpoints").glob("*.safetensors"))


def clock_of(path: Path) -> int:
    """The images seen of a checkpoint, from its name."""
    return int(path.stem)


def save_checkpoint(
    run: Path, state: TrainState, retention: Retention, metrics: Mapping[str, float] | None = None
) -> Path:
    """Write the state under its clock, then drop the checkpoints that `retention` does not keep.

    Of a sharded state all processes must call it, and the first one writes. Raises OSError if it cannot be
    written; older checkpoints are untouched then.
    """
    path = run / "checkpoints" / f"{state.images_seen:012d}.safetensors"
    tensors = gathered(state.tensors())
    if not distributed.is_first():
        return path
    metadata = {
        "format": FORMAT,
        "images_seen": str(state.images_seen),
        "notes": json.dumps(state.notes()),
        "metrics": json.dumps(dict(metrics or {})),
    }
    metadata["checksum"] = checksum(tensors, metadata)
    with atomic_write(path) as temporary:
        try:
            save_file(tensors, temporary, metadata)
        except SafetensorError as error:
            raise OSError(str(error)) from error
    prune(run, retention)
    return path


def gathered(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Whole tensors in the first process's memory, gathered one by one; none in the others."""
    found = {}
    for key, value in tensors.items():
        full = whole(value).detach()
        if distributed.is_first():
            found[key] = full.cpu().contiguous()
    return found


def checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """SHA-256 of all tensors and metadata, the checksum itself left out."""
    digest = hashlib.sha256()
    for key in sorted(tensors):
        digest.update(key.encode())
        digest.update(tensors[key].reshape(-1).view(torch.uint8).numpy().data)
    for key in sorted(set(metadata) - {"checksum"}):
        digest.update(f"{key}={metadata[key]}\n".encode())
    return digest.hexdigest()


def load_checkpoint(path: Path, state: TrainState) -> None:
    """Restore one checkpoint into `state`. Raises one of UNREADABLE if it is damaged or of something else."""
    tensors, metadata = read_checkpoint(path)
    state.load_tensors(tensors)
    state.load_notes(json.loads(metadata["notes"]))
    state.images_seen = int(metadata["images_seen"])


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of one checkpoint. Raises one of UNREADABLE if it is damaged or of something else."""
    with safe_open(path, "pt") as handle:
        metadata = handle.metadata() or {}
        tensors = {key: handle.get_tensor(key) for key in handle.keys()}  # noqa: SIM118
    if metadata.get("format") != FORMAT:
        raise ValueError(f"its format is not {FORMAT}")
    if metadata["checksum"] != checksum(tensors, metadata):
        raise ValueError("its checksum does not match its content")
    return tensors, metadata


def load_newest(run: Path, state: TrainState, report: Callable[[str], None], before: int | None = None) -> bool:
    """Restore the newest checkpoint that can be read into `state`; False if the run has none.

    `before` passes over those of a later clock. A damaged one is reported and the one before it used.
    Raises UserError if all are damaged.
    """
    files = [path for path in checkpoint_files(run) if before is None or clock_of(path) <= before]
    for path in reversed(files):
        try:
            load_checkpoint(path, state)
            return True
        except UNREADABLE as error:
            reason = " ".join(str(error).split())[:200]
            report(f"{path} is damaged and was passed over ({reason})")
    if files:
        raise UserError(f"no checkpoint of {run} can be read; move the folder away to begin anew")
    return False


def sweep(run: Path) -> None:
    """Delete what writers that were killed left half-written. Only for the process that holds the run."""
    for path in run.rglob(".*.tmp"):
        path.unlink()


def discard_after(run: Path, images_seen: int) -> None:
    """Delete the checkpoints of a later clock: a run that went back leaves no future behind."""
    for path in checkpoint_files(run):
        if clock_of(path) > images_seen:
            path.unlink()


# ---- retention -------------------------------------------------------------------------------------


def prune(run: Path, retention: Retention) -> None:
    """Delete the checkpoints of a run that are not kept."""
    files = checkpoint_files(run)
    keep = set(files[-retention.newest :]) | ring(files, retention)
    best = best_checkpoint(run, retention.metric) if retention.metric else None
    for path in set(files) - keep - {best}:
        path.unlink()


def ring(files: list[Path], retention: Retention) -> set[Path]:
    """The first checkpoint of each stretch of span / ring images, back to at least `span` before the newest.

    While the run is younger than the span its stretches are shorter, a power of two times, so that the ring
    lies over the whole run, in up to twice as many steps. The first of a stretch is the first of its first
    half too, so none is missed when stretches double.
    """
    if not retention.span or not files:
        return set()
    newest, longest = clock_of(files[-1]), -(-retention.span // retention.ring)
    halvings = (retention.span // max(newest, 1)).bit_length()
    oldest = ((newest - retention.span) << halvings) // longest - 1     # the stretch wholly beyond the span
    firsts: dict[int, Path] = {}
    for path in files:
        firsts.setdefault((clock_of(path) << halvings) // longest, path)
    return {path for number, path in firsts.items() if number >= oldest}


def saved_metrics(path: Path) -> dict[str, float]:
    """The metrics that a checkpoint was saved with; none if it cannot be read."""
    try:
        with safe_open(path, "pt") as handle:
            return dict(json.loads((handle.metadata() or {}).get("metrics", "{}")))
    except UNREADABLE:
        return {}


def best_checkpoint(run: Path, metric: str) -> Path | None:
    """The checkpoint with the best value of a metric, or None if none was saved with it."""
    sign = -1 if metric in LOWER_IS_BETTER else 1
    found = {path: saved_metrics(path) for path in checkpoint_files(run)}
    return max((p for p in found if metric in found[p]), key=lambda p: sign * found[p][metric], default=None)
