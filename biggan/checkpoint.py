"""Checkpoints: all that resuming needs, in one safetensors file, written atomically."""

from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from biggan.errors import UserError
from biggan.files import atomic_write
from biggan.state import TrainState

FORMAT = "biggan-checkpoint-1"


def checkpoint_files(run: Path) -> list[Path]:
    """The checkpoints of a run, oldest first."""
    return sorted((run / "checkpoints").glob("*.safetensors"))


def save_checkpoint(run: Path, state: TrainState, keep: int) -> Path:
    """Write the state under its clock, then drop all but the `keep` newest checkpoints.

    Raises UserError if it cannot be written; older checkpoints are untouched then.
    """
    path = run / "checkpoints" / f"{state.images_seen:012d}.safetensors"
    metadata = {"format": FORMAT, "images_seen": str(state.images_seen)}
    tensors = {key: value.detach().cpu().contiguous() for key, value in state.tensors().items()}
    with atomic_write(path) as temporary:
        try:
            save_file(tensors, temporary, metadata)
        except SafetensorError as error:
            raise OSError(str(error)) from error
    for old in checkpoint_files(run)[:-keep]:
        old.unlink()
    return path


def load_newest(run: Path, state: TrainState, report: Callable[[str], None]) -> bool:
    """Restore the newest checkpoint that can be read into `state`; False if the run has none.

    A damaged one is reported and the one before it used. Raises UserError if all are damaged.
    """
    files = checkpoint_files(run)
    for path in reversed(files):
        try:
            with safe_open(path, "pt") as handle:
                metadata = handle.metadata() or {}
                tensors = {key: handle.get_tensor(key) for key in handle.keys()}  # noqa: SIM118
            if metadata.get("format") != FORMAT:
                raise ValueError(f"its format is not {FORMAT}")
            state.load_tensors(tensors)
            state.images_seen = int(metadata["images_seen"])
            return True
        except (SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            report(f"{path} is damaged and was passed over ({reason})")
    if files:
        raise UserError(f"no checkpoint of {run} can be read; move the folder away to begin anew")
    return False
