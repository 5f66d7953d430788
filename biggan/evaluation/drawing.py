"""Images to measure: each a function of the model, its label, its seed and the law, whoever draws it."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from biggan.data import LabelledImages
from biggan.errors import UserError
from biggan.latents import LatentLaw, image_latents
from biggan.model import BigGAN
from biggan.sampling import prepare_law, sheet, to_uint8

BATCH_SIZE = 100


def draw(model: BigGAN, y: Tensor, seed: int, law: LatentLaw, *, first: int = 0) -> Iterator[Tensor]:
    """Batches of uint8 images (B, C, H, W): image k of label y[k] has the seed `seed + first + k`.

    UserError if the generator's numbers aren't finite: as uint8 they would look like an image.
    """
    prepare_law(model, law)
    for start in range(0, len(y), BATCH_SIZE):
        some_y = y[start : start + BATCH_SIZE]
        seeds = range(seed + first + start, seed + first + start + len(some_y))
        images = model.generate(some_y, image_latents(seeds, model.config.z_dim, law), law=law, batch_size=BATCH_SIZE)
        finite = torch.isfinite(images).flatten(1).all(dim=1).cpu()
        if not finite.all():
            k = int((~finite).nonzero()[0])
            name = model.class_names[int(some_y[k])]
            raise UserError(
                f"the model draws images that are not finite (NaN), as of class {name!r} with seed {seeds[k]}; "
                "its training diverged: take an earlier checkpoint"
            )
        yield to_uint8(images)


def labels_of(reference: LabelledImages, law: str, num: int, num_classes: int) -> Tensor:
    """Labels (num,) of the images to draw: all classes in turn (uniform), or the data's proportions (data).

    The data's labels come in a fixed random order, again and again: as many as there are of a class, not
    a random number about that.
    """
    if law == "uniform":
        return torch.arange(num) % num_classes
    order = np.random.default_rng(0).permutation(len(reference))
    return torch.from_numpy(reference.labels[order[np.arange(num) % len(reference)]])


def sheet_with_real(drawn: Tensor, rows: Mapping[str, tuple[LabelledImages, Sequence[int]]]) -> Image.Image:
    """Drawn images (N, C, H, W) uint8 in a row, and below each the real ones that named rows have for it."""
    real = [torch.from_numpy(data.images[list(indices)].copy()) for data, indices in rows.values()]
    return sheet([drawn, *real], ["generated", *rows])
