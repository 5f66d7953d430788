"""The real images of an evaluation: those the model was trained on, and others that it has not seen."""

from collections.abc import Callable, Collection

from biggan.config import BigGANConfig
from biggan.data import LabelledImages, open_dataset
from biggan.data.images import Fit
from biggan.errors import UserError
from biggan.evaluation.protocol import WITH_HELD_OUT, Protocol
from biggan.model import BigGAN

Report = Callable[[str], None]


def open_sides(
    model: BigGAN, plan: Protocol, extras: Collection[str], data: str | None, held_out: str | None, report: Report
) -> tuple[LabelledImages, LabelledImages | None]:
    """The training images of a model, by default as its recipe says, and held-out ones where they are needed.

    Held-out images are by default the test split of the same source. Raises UserError.
    """
    train, source = open_training_images(model, data, report), data or model.recipe["data"]
    c, fit = model.config, model.recipe.get("fit", "crop")
    if held_out is not None:
        new = open_dataset(held_out, resolution=c.image_shape, channels=c.image_channels, fit=fit, report=report)
        return train, new
    needed = plan.split == "test" or not set(extras).isdisjoint(WITH_HELD_OUT)
    return train, open_held_out(source, c, fit, report) if needed else None


def open_training_images(model: BigGAN, data: str | None, report: Report) -> LabelledImages:
    """The real images in `data`, by default those of the model's recipe, at the model's size. Raises UserError."""
    source = data or model.recipe.get("data")
    if not source:
        raise UserError("the model does not say what it was trained on; give --data")
    c, fit = model.config, model.recipe.get("fit", "crop")
    return open_dataset(source, resolution=c.image_shape, channels=c.image_channels, fit=fit, report=report)


def open_held_out(source: str, c: BigGANConfig, fit: Fit, report: Report) -> LabelledImages:
    """The test split of a source of images; UserError if it has none."""
    if source == "digits":
        raise UserError("digits has no test split; take a train protocol, or give --held-out DATA")
    return open_dataset(
        source, resolution=c.image_shape, channels=c.image_channels, fit=fit, split="test", report=report
    )
