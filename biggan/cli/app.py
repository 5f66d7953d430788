"""The application and the parameters that several commands share."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from biggan import __version__

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


def beside(model: Path, name: str) -> Path:
    """Where a file goes by default: into the run or the export; a checkpoint's into RUN/NUMBER."""
    return (model.parent.parent / model.stem if model.is_file() else model) / name
