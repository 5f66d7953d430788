"""The training images that are most like drawn ones, in the features of an extractor."""

from collections.abc import Callable, Sequence
from typing import Any

from PIL import Image
from torch import Tensor

from biggan.data import LabelledImages
from biggan.errors import UserError
from biggan.evaluation import check_images
from biggan.evaluation.drawing import sheet_with_real
from biggan.evaluation.memorisation import TRAIN_MOST
from biggan.evaluation.reference import look_at_reference
from biggan.explore.sheets import described
from biggan.metrics.extractor import Extractor
from biggan.metrics.nearest import Neighbours, neighbours
from biggan.model import BigGAN
from biggan.pictures import Picture

Report = Callable[[str], None]


def nearest_real(
    model: BigGAN,
    images: Tensor,
    data: LabelledImages,
    extractor: Extractor,
    k: int = 4,
    report: Report = lambda line: None,
) -> Neighbours:
    """The k nearest of real images to each of drawn ones (N, C, H, W) uint8: distances and rows of `data`, (N, k).

    Euclidean distances of features. Of more than 100,000 real images so many, chosen at random, are searched; their
    features are kept in the cache. Raises UserError if the data are not of the model's classes and size.
    """
    check_images(model, data)
    real = look_at_reference(data, extractor, TRAIN_MOST, report)
    if not 1 <= k <= len(real.features):
        raise UserError(f"--neighbours {k} must be from 1 to {len(real.features)}, as many images as are searched")
    found = neighbours(extractor(images).features, real.features, k)
    return Neighbours(found.distance, real.rows[found.row])


def neighbour_sheet(images: Tensor, data: LabelledImages, found: Neighbours) -> Image.Image:
    """A column a drawn image (N, C, H, W): itself, and below it its neighbours, the nearest first."""
    ranks = range(1, found.row.shape[1] + 1)
    return sheet_with_real(images, {f"nearest {rank}": (data, found.row[:, rank - 1].tolist()) for rank in ranks})


def as_json(
    model: BigGAN, pictures: Sequence[Picture], data: LabelledImages, extractor: Extractor, found: Neighbours
) -> dict[str, Any]:
    """What was found for pictures, as JSON values."""
    images = [
        {"seed": picture.seed, "class": described(model, picture), "from_file": bool(picture.values), "nearest": near}
        for picture, near in zip(pictures, _lines(data, found), strict=True)
    ]
    about = {"data": data.source, "extractor": extractor.name, "layer": extractor.layer}
    return {**about, "fingerprint": extractor.fingerprint, "images": images}


def _lines(data: LabelledImages, found: Neighbours) -> list[list[dict[str, Any]]]:
    """For each drawn image its neighbours, as JSON values."""
    return [
        [
            {"row": row, "class": data.class_names[int(data.labels[row])], "distance": distance}
            for row, distance in zip(rows, distances, strict=True)
        ]
        for rows, distances in zip(found.row.tolist(), found.distance.tolist(), strict=True)
    ]
