"""The models on show, and the batch statistics of the laws that are asked of them.

Statistics are 16 passes of 64 images: half a second for the digits, minutes for a large model on a CPU.
So the first pictures at a truncation are drawn with those of N(0, 1), which the answer says, while the
law's own are measured on a copy that shares the weights. Downloads wait for the law's own.
"""

import copy
import math
from pathlib import Path
from typing import Literal

from biggan.checkpoint import clock_of
from biggan.config import BigGANConfig
from biggan.latents import LatentLaw
from biggan.model import BigGAN
from biggan.sampling import STATISTICS_BATCHES, standing_statistics
from biggan.web.schema import GRAIN, MOST_PICTURES, LawOut, MeasuringOut, ModelOut
from biggan.web.worker import Breather, Worker

PIXELS = MOST_PICTURES * 128**2     # the most that one request may draw
FEWEST = 16                         # pictures that any model draws at once: one and its neighbours


class Shown:
    """A model on show."""

    def __init__(self, index: int, source: Path, model: BigGAN) -> None:
        self.index, self.source, self.model = index, source, model
        self.most = most_pictures(model.config)     # pictures a request
        self.passes = 0                             # done for the law that is being measured
        self.failed: set[LatentLaw] = set()         # laws that could not be measured, for want of memory perhaps

    def describe(self) -> ModelOut:
        """What the page needs to know."""
        config = self.model.config
        kind, values = self._offer()
        return ModelOut(
            name=shown_name(self.source),
            source=str(self.source),
            resolution=config.resolution,
            class_names=list(self.model.class_names),
            law=kind,
            values=values,
            most_pictures=self.most,
        )

    def _offer(self) -> tuple[str, list[float]]:
        """The kind of law that the model has a table of, with values inside it; else the paper's."""
        for kind, table in self.model.truncation_tables.items():
            values = [round(k * GRAIN, 2) for k in range(1, 41) if table.covers(round(k * GRAIN, 2))]
            if values:
                return kind, values
        return "threshold", [round(k * 2 * GRAIN, 2) for k in range(1, 21)]

    def state(self, law: LatentLaw, worker: Worker) -> Literal["own", "pending", "failed"]:
        """Which statistics pictures of a law are drawn with; its own are measured from now on if need be."""
        if law.kind == "normal" or self.model.statistics_for(law) is not None:
            return "own"
        if law in self.failed:
            return "failed"
        worker.later((self.index, law), lambda breathe: self._measure(law, breathe))
        return "pending"

    def _measure(self, law: LatentLaw, breathe: Breather) -> None:
        """The same passes as `sampling.prepare_law`, with a rest after each."""
        G, config = self.model.G, self.model.config
        aside = copy.deepcopy(G, memo={id(parameter): parameter for parameter in G.parameters()})

        def rest() -> None:
            self.passes += 1
            breathe()

        try:
            found = standing_statistics(aside, config.num_classes, config.z_dim, law, after_pass=rest)
            self.model.statistics[law] = found
        except RuntimeError:
            self.failed.add(law)
            raise                   # to the terminal
        finally:
            self.passes = 0

    def measuring(self, worker: Worker) -> list[MeasuringOut]:
        """The laws whose statistics are being measured, or wait for it."""
        return [
            MeasuringOut(
                model=self.index,
                law=LawOut(kind=law.kind, value=law.value),
                passes=self.passes if (index, law) == worker.doing else 0,
                of=STATISTICS_BATCHES,
            )
            for index, law in worker.planned()
            if index == self.index
        ]


def shown_name(source: Path) -> str:
    """A run's or an export's folder, or a run and the clock of one of its checkpoints."""
    path = source.absolute()
    if path.suffix == ".safetensors":
        return f"{path.parent.parent.name} at {clock_of(path):,} images"
    return path.parent.name if path.name == "export" and (path.parent / "config.yaml").is_file() else path.name


def most_pictures(config: BigGANConfig) -> int:
    """The most pictures of a request: as many pixels as 64 images of 128 px have, but 16 of any size."""
    return max(FEWEST, min(MOST_PICTURES, PIXELS // math.prod(config.image_shape)))
