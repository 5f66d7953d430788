"""What a request may ask, and what an answer holds. All numbers are bounded; unknown fields are refused."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from biggan.latents import LatentLaw
from biggan.pictures import Between, Moving, Picture, path

MOST_PICTURES = 64                  # a request, of images up to 128 px
MOST_FRAMES = 64
GRAIN = 0.05                        # truncations are multiples of it, so that few statistics are ever measured

Seed = Annotated[int, Field(ge=0, lt=2**53, description="whole, and exact in JavaScript")]


Kind = Literal["normal", "threshold", "truncation"]


class Strict(BaseModel):
    """A part of a request: it has no field that is not read."""

    model_config = ConfigDict(extra="forbid")


class LawIn(Strict):
    """The distribution that z is drawn from; see `biggan.latents.LatentLaw`."""

    kind: Kind = "normal"
    value: float = Field(1.0, ge=GRAIN, le=2.0, description="a multiple of 0.05; of no meaning to normal")

    @model_validator(mode="after")
    def _on_the_grain(self) -> "LawIn":
        if abs(self.value / GRAIN - round(self.value / GRAIN)) > 1e-6:
            raise ValueError(f"{self.value} is not a multiple of {GRAIN}")
        return self

    def law(self) -> LatentLaw:
        """The law, its value rounded to the grain."""
        return LatentLaw() if self.kind == "normal" else LatentLaw(self.kind, round(self.value, 2))


class ClassIn(Strict):
    """A class and its weight in a mixture."""

    label: int = Field(ge=0, lt=10**6)
    weight: float = Field(1.0, gt=0, le=1)


class StepIn(Strict):
    """A step away from where a picture stands; see `biggan.pictures.step`."""

    seed: Seed
    size: float = Field(gt=0, le=4)


class PictureIn(Strict):
    """One image; see `biggan.pictures.Picture`."""

    seed: Seed
    classes: list[ClassIn] = Field(min_length=1, max_length=3)
    steps: list[StepIn] = Field([], max_length=16)

    def picture(self) -> Picture:
        """As the package has it."""
        classes: dict[int | str, float] = {}
        for part in self.classes:
            classes[part.label] = classes.get(part.label, 0) + part.weight
        return Picture(self.seed, classes, tuple((step.seed, step.size) for step in self.steps))


class Request(Strict):
    """What every drawing is asked with."""

    model: int = Field(0, ge=0, le=7, description="which of /api/models")
    law: LawIn = LawIn(kind="normal", value=1.0)


class DrawIn(Request):
    """Pictures to draw."""

    pictures: list[PictureIn] = Field(min_length=1, max_length=MOST_PICTURES)

    def recipes(self) -> list[Picture | Between]:
        """As the package has them."""
        return [picture.picture() for picture in self.pictures]


class PathIn(Request):
    """A path from one picture to another."""

    start: PictureIn
    end: PictureIn
    moving: Moving = "both"
    frames: int = Field(25, ge=2, le=MOST_FRAMES)

    def recipes(self) -> list[Picture | Between]:
        """As the package has them."""
        return list(path(self.start.picture(), self.end.picture(), frames=self.frames, moving=self.moving))


class AnimationIn(PathIn):
    """A path as a file."""

    format: Literal["gif", "webp"] = "gif"
    fps: int = Field(12, ge=1, le=50)


# ---- answers ---------------------------------------------------------------------------------------


class ErrorOut(BaseModel):
    """What went wrong and what to do, in one line."""

    error: str


class ModelOut(BaseModel):
    """A model on show."""

    name: str
    source: str = Field(description="the run, export or checkpoint that was opened")
    resolution: int
    class_names: list[str]
    law: str = Field(description="the kind of truncated law that the model is at home with")
    values: list[float] = Field(description="truncations to offer, ascending")
    most_pictures: int = Field(description="the most pictures a request may ask for")


class LawOut(BaseModel):
    """As LawIn."""

    kind: str
    value: float


class MeasuringOut(BaseModel):
    """Batch statistics that are being measured, or wait for it."""

    model: int
    law: LawOut
    passes: int
    of: int


class StatusOut(BaseModel):
    """How busy the studio is."""

    waiting: int
    most_waiting: int
    measuring: list[MeasuringOut]


class HeaderOut(BaseModel):
    """The first line of a stream of images."""

    statistics: Literal["own", "pending", "failed"] = Field(
        description="the law's own batch statistics; or, while or since those cannot be had, N(0, 1)'s"
    )


class ImageOut(BaseModel):
    """Each other line of it."""

    index: int
    png: str = Field(description="base64")


class CodeOut(BaseModel):
    """How to draw the same pixels again, on the same machine."""

    command: str | None = Field(description="null where no command draws these pictures")
    python: str
