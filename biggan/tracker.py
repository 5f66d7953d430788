"""The log of record, one JSON object a line in `log.jsonl`, and other places that its numbers may go to as well.

Notable: the log needs no package and is what reports and resuming read. TensorBoard and Weights & Biases only listen.
"""

import hashlib
import importlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from biggan.errors import UserError
from biggan.files import write_text

SinkName = Literal["tensorboard", "wandb"]


class Sink(Protocol):
    """Somebody who also wants the numbers of a run."""

    def log(self, images_seen: int, numbers: Mapping[str, float]) -> None:
        """Numbers by name, at a clock."""


class Tracker:
    """Appends to a run's JSONL log; a resumed run first drops what lies after its clock."""

    def __init__(self, path: Path, images_seen: int, sinks: Sequence[Sink] = ()) -> None:
        self.path, self.sinks = path, sinks
        kept = [line for line in read_lines(path) if line["images_seen"] <= images_seen]
        write_text(path, "".join(json.dumps(line) + "\n" for line in kept))

    def log(self, *, images_seen: int, **values: object) -> None:
        """Append one line."""
        with self.path.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps({"images_seen": images_seen, **values}) + "\n")
        numbers = {name: float(value) for name, value in values.items() if isinstance(value, int | float)}
        for sink in self.sinks:
            sink.log(images_seen, numbers)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a JSONL log; a last line cut short by a kill is left out."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return [json.loads(line) for line in lines if line]


class TensorBoard:
    """Event files in RUN/tensorboard; after a resume TensorBoard leaves out what lies after the clock."""

    def __init__(self, run: Path, images_seen: int) -> None:
        _wanted("tensorboard", "pip install 'biggan-torch[tensorboard]'")
        from torch.utils.tensorboard import SummaryWriter

        purge: Any = {"purge_step": images_seen + 1} if images_seen else {}
        self.writer: Any = SummaryWriter(run / "tensorboard", **purge)

    def log(self, images_seen: int, numbers: Mapping[str, float]) -> None:
        """A scalar each."""
        for name, value in numbers.items():
            self.writer.add_scalar(name, value, images_seen)
        self.writer.flush()


class WandB:
    """A run at Weights & Biases, continued by the same folder's later commands."""

    def __init__(self, run: Path, images_seen: int) -> None:
        wandb: Any = _wanted("wandb", "pip install wandb")
        name = hashlib.sha256(str(run.resolve()).encode()).hexdigest()[:16]
        self.run = wandb.init(project="biggan", name=run.name, id=name, resume="allow", dir=str(run))

    def log(self, images_seen: int, numbers: Mapping[str, float]) -> None:
        """All at once, with the clock as the step."""
        self.run.log(dict(numbers), step=images_seen)


SINKS: dict[str, type[TensorBoard | WandB]] = {"tensorboard": TensorBoard, "wandb": WandB}


def open_sinks(names: Sequence[SinkName], run: Path, images_seen: int) -> list[Sink]:
    """The places of --track; UserError if the package of one is not installed."""
    return [SINKS[name](run, images_seen) for name in names]


def _wanted(package: str, mend: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise UserError(f"--track {package} needs {error.name}: {mend}") from error
