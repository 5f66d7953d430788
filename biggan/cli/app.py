"""The application and the parameters that several commands share."""

import typing
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from biggan import __version__
from biggan.errors import UserError

if typing.TYPE_CHECKING:
    import torch

app = App(
    name="biggan",
    help="BigGAN: train, sample and evaluate class-conditional GANs.",
    version=__version__,
    help_format="plaintext",
)

SEVERAL = Parameter(consume_multiple=True, negative=())
TRUNCATION_HELP = "z from T x N(0, 1) cut at 2 (TF-Hub's law)"
THRESHOLD_HELP = "z from N(0, 1) cut at T (the paper's law)"
Model = Annotated[Path, Parameter(help="a run, an export, a checkpoint of a run, or a model of the package")]


def device_to_work_on(name: str) -> "torch.device":
    """The device of --device for a command that works and ends; on a CPU it keeps the memory that it frees."""
    from biggan.machine import keep_freed_memory
    from biggan.training import resolve_device

    device = resolve_device(name)
    keep_freed_memory(device)
    return device


def target_of(out: Path | None, model: Path, name: str) -> Path:
    """Where a file goes: to --out, which must end as the name does, or `beside` the model."""
    suffix = Path(name).suffix
    if out is not None and out.suffix.lower() != suffix:
        raise UserError(f"--out {out} must end in {suffix}")
    return out or beside(model, name)


def beside(model: Path, name: str) -> Path:
    """Where a file goes by default: into the run or the export; a checkpoint's into RUN/NUMBER."""
    return (model.parent.parent / model.stem if model.is_file() else model) / name
