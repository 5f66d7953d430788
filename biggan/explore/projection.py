"""Projection: the latent whose image is most like a given one, by optimisation through a frozen G.

    best = project(model, image, {"cat": 1.0}, features=classifier.feature_maps)[0]
    images = draw(model, [best.picture, dataclasses.replace(best.picture, classes={"dog": 1.0})])

Notable:
- What is optimised are the standard normal variates before the law, so every step stays within the law, truncated
  or not, and `biggan.pictures` can go on from the result: steps, moves, paths, other classes.
- They are kept within the ball that holds 99 of 100 latents. Without it the optimisation goes on to places where G
  was never trained: for digits, further out than one latent in 10^13, for a tenth less error (`docs/experiments.md`).
- Several restarts are optimised side by side as one batch.

Deliberately absent: changing G's weights for one image (pivotal tuning), and an encoder.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from biggan.data import to_float
from biggan.data.images import prepare
from biggan.data.sources.source import UNREADABLE, unreadable
from biggan.errors import UserError
from biggan.latents import LatentLaw, to_uniform
from biggan.model import BigGAN, evaluation_mode
from biggan.networks import Discriminator
from biggan.pictures import Picture, draw
from biggan.progress import Progress
from biggan.sampling import prepare_law, sheet

LEARNING_RATE = 0.4         # Adam's, in standard deviations of z; falls to 0 on a half cosine
LEAST_SHARE = 1e-3          # classes with less of a mixture are left out of the result
TAIL = 2.326                # the normal quantile of 0.99

FeatureMaps = Callable[[Tensor], Sequence[Tensor]]      # images in [-1, 1] -> maps (N, C, h, w)
Report = Callable[[str], None]


@dataclass(frozen=True)
class Projection:
    """What one restart found."""

    picture: Picture            # draws it; its seed is the one that the restart began at
    image: Tensor               # (C, H, W) uint8, as `draw` draws it
    loss: float                 # what was minimised, of this image
    pixels: float               # root mean square error of its pixels, in levels of 255


def project(
    model: BigGAN,
    target: Tensor,
    classes: Mapping[int | str, float],
    law: LatentLaw | None = None,
    *,
    features: FeatureMaps | None = None,
    feature_weight: float = 1.0,
    free_classes: bool = False,
    restarts: int = 8,
    steps: int = 300,
    seed: int = 0,
    report: Report = lambda line: None,
) -> list[Projection]:
    """The latents whose images are most like the target (C, H, W) uint8, the best first, one a restart.

    classes         of the image, with weights
    features        maps of images that are compared too, such as `Classifier.feature_maps`; None for pixels alone
    feature_weight  of their distance against that of the pixels
    free_classes    optimise the classes' weights too, over all classes, beginning at those given
    seed            restart k begins at the image of seed + k

    The loss is mean((x - t)^2) of pixels in [-1, 1] + feature_weight * `perceptual_distance`. The same arguments
    give the same result on one machine. Raises UserError if the target has not the model's shape.
    """
    law = law or LatentLaw()
    shape = (model.config.image_channels, *model.config.image_shape)
    if tuple(target.shape) != shape:
        raise UserError(f"the image to project has shape {tuple(target.shape)}; this model draws {shape}")
    if restarts < 1 or steps < 1:
        raise UserError("a projection needs at least one restart and one step")
    prepare_law(model, law)
    loss = Loss(to_float(target)[None].to(model.G.linear.weight), features, feature_weight)
    starts = [Picture(seed + restart, classes) for restart in range(restarts)]
    found = optimise(model, law, loss, starts, free_classes, steps, report)
    images = draw(model, found, law)
    losses = loss(to_float(images).to(loss.target)).tolist()
    errors = (images.double() - target.double()).square().flatten(1).mean(1).sqrt().tolist()
    made = [Projection(*each) for each in zip(found, images, losses, errors, strict=True)]
    return sorted(made, key=lambda projection: projection.loss)


class Loss:
    """How unlike a target images are."""

    def __init__(self, target: Tensor, features: FeatureMaps | None, feature_weight: float) -> None:
        """`target` is (1, C, H, W) in [-1, 1]; its feature maps are computed once."""
        self.target, self.features, self.feature_weight = target, features, feature_weight
        with torch.no_grad():
            self.maps = features(target) if features is not None else []

    def __call__(self, x: Tensor) -> Tensor:
        """Of each image (N, C, H, W) in [-1, 1]: (N,)."""
        distance = (x - self.target).square().flatten(1).mean(1)
        if self.features is not None:
            distance = distance + self.feature_weight * perceptual_distance(self.features(x), self.maps)
        return distance


def perceptual_distance(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """The sum over maps (N, C, h, w) of the mean over places of |a / |a| - b / |b||^2, norms over channels: (N,).

    Zhang et al. 2018 (LPIPS), equation 1, with all weights 1.
    """
    return torch.stack([
        (F.normalize(x, dim=1) - F.normalize(y, dim=1)).square().sum(1).flatten(1).mean(1)
        for x, y in zip(a, b, strict=True)
    ]).sum(0)  # fmt: skip


def discriminator_maps(D: Discriminator) -> FeatureMaps:
    """D's feature maps, block by block, as `project` takes them; its last map and logits are left out."""

    def maps(x: Tensor) -> list[Tensor]:
        found: list[Tensor] = []
        with ExitStack() as hooks, evaluation_mode(D):
            for block in D.blocks[:-1]:
                hooks.enter_context(block.register_forward_hook(lambda block, given, made: found.append(made)))
            D(x)
        return found

    return maps


def open_target(model: BigGAN, path: Path) -> Tensor:
    """The image in a file as the model's data were prepared: (C, H, W) uint8. Raises UserError."""
    c, fit = model.config, model.recipe.get("fit", "crop")
    try:
        with Image.open(path) as image:
            return torch.tensor(prepare(image, c.image_shape, c.image_channels, fit))
    except UNREADABLE as error:
        raise UserError(f"the image {path} cannot be read: {unreadable(error)}") from error


def comparison(target: Tensor, found: Sequence[Projection]) -> Image.Image:
    """The target (C, H, W) uint8 and beside it what each restart made of it, with the errors of their pixels."""
    images = torch.stack([target, *(projection.image for projection in found)])
    return sheet([images], headings=["image", *(f"{projection.pixels:.1f}" for projection in found)])


# ---- the optimisation ------------------------------------------------------------------------------


def optimise(
    model: BigGAN, law: LatentLaw, loss: Loss, starts: Sequence[Picture], free_classes: bool, steps: int,
    report: Report,
) -> list[Picture]:  # fmt: skip
    """Where Adam leads from these pictures, all of them side by side."""
    weight = model.G.linear.weight
    table = model.G.embed(torch.arange(model.config.num_classes, device=weight.device)).detach()    # (K, D)
    g = torch.stack([start.normal(model.config.z_dim) for start in starts]).requires_grad_()        # (R, z_dim)
    shares = class_shares(model, starts[0].classes, 0.5 if free_classes else 1.0)
    logits = shares.log().repeat(len(starts), 1).requires_grad_()                                   # (R, K)
    moving = [g, logits] if free_classes else [g]
    adam = torch.optim.Adam(moving, lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    progress = Progress("projected", steps, report, unit="steps")
    with model.drawing(), model.statistics_of(law):
        for _ in range(steps):
            z, mixtures = law.from_uniform(to_uniform(g)), logits.softmax(1)
            adam.zero_grad()
            loss(model.G.synthesize(z.to(weight), mixtures.to(weight) @ table)).sum().backward(inputs=moving)
            adam.step()
            schedule.step()
            into_ball_(g)
            progress.advance(1)
    found = [dataclasses.replace(start, values=tuple(row)) for start, row in zip(starts, g.tolist(), strict=True)]
    if not free_classes:
        return found
    rows = logits.detach().softmax(1)
    return [dataclasses.replace(one, classes=mixture(row)) for one, row in zip(found, rows, strict=True)]


def class_shares(model: BigGAN, classes: Mapping[int | str, float], part: float) -> Tensor:
    """The classes' weights, scaled to add up to `part`, with the rest of 1 spread over all classes: (K,) float64."""
    shares = torch.zeros(model.config.num_classes, dtype=torch.float64)
    weights = torch.tensor(list(classes.values()), dtype=torch.float64)
    shares.index_add_(0, model.class_indices(list(classes)), weights / weights.sum())
    return part * shares + (1 - part) / len(shares)


def mixture(shares: Tensor) -> dict[int | str, float]:
    """The classes of shares (K,) that count for something, the largest first."""
    order = shares.argsort(descending=True)
    return {int(label): float(shares[label]) for label in order if shares[label] >= LEAST_SHARE}


@torch.no_grad()
def into_ball_(g: Tensor) -> None:
    """Shorten the rows of g (R, z_dim) that lie outside the ball of 99 in 100 standard normal vectors, in place.

    Its squared radius is the chi-squared distribution's quantile, by Wilson and Hilferty (1931).
    """
    d = g.shape[1]
    radius = (d * (1 - 2 / (9 * d) + TAIL * (2 / (9 * d)) ** 0.5) ** 3) ** 0.5
    g.mul_((radius / g.norm(dim=1, keepdim=True)).clamp(max=1))
