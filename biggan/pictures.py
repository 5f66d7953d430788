"""Pictures as recipes: what determines one image, in a form that can be shown, copied and drawn again.

    from biggan.pictures import Picture, draw, path

    around = Picture(seed=3, classes={"cat": 0.7, "dog": 0.3}, steps=((12, 0.4),))
    images = draw(model, path(Picture(seed=3, classes={"cat": 1}), around, frames=25))

Notable:
- Steps and paths are taken in the space of standard normal variates, before a law truncates them, and
  leave that distribution as it is. So what one explores is what the law draws, at any truncation, and
  the law's batch statistics stay the right ones.
- Pictures are drawn four at a time, the last ones padded. Convolutions round otherwise in a batch of
  another size, by about 1e-6, which now and then turns a pixel's last bit; so a picture has the same
  pixels wherever it stands.

Deliberately absent: truncation, which belongs to a whole screen of pictures and to the call that draws.
"""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from PIL import Image
from torch import Tensor

from biggan.errors import UserError
from biggan.latents import LatentLaw, Stream, to_uniform, uniforms
from biggan.model import BigGAN, evaluation_mode
from biggan.progress import Progress
from biggan.sampling import prepare_law, to_pil, to_uint8

BATCH = 4                           # pictures a forward pass
SHOWN = 128                         # animations enlarge smaller images to at least this many pixels

Moving = Literal["both", "z", "class"]


@dataclass(frozen=True)
class Picture:
    """One image: where its latent begins, its classes with their weights, and steps away from there.

    seed     z as `BigGAN.generate` draws it for this seed
    classes  labels or class names with weights; the mixture's embedding is their weighted mean
    steps    (seed, size) each: see `step`
    values   standard normal variates to begin from instead of the seed's, such as a projection's
    moves    (direction, distance) each, after the steps: straight on by `distance` times the direction
    """

    seed: int
    classes: Mapping[int | str, float] = field(default_factory=lambda: {0: 1.0})
    steps: Sequence[tuple[int, float]] = ()
    values: Sequence[float] = ()
    moves: Sequence[tuple[Sequence[float], float]] = ()

    @property
    def plain(self) -> bool:
        """Whether its latent is just the seed's."""
        return not (self.steps or self.values or self.moves)

    def normal(self, z_dim: int) -> Tensor:
        """Its standard normal variates (z_dim,), float64, before a law truncates them. Raises UserError."""
        g = torch.special.ndtri(uniforms(self.seed, Stream.IMAGE, 0, 1, z_dim)[0])
        if self.values:
            g = _numbers(self.values, z_dim)
        for seed, size in self.steps:
            g = step(g, torch.special.ndtri(uniforms(seed, Stream.STEP, 0, 1, z_dim)[0]), size)
        for direction, distance in self.moves:
            g = g + distance * _numbers(direction, z_dim)
        return g

    def embedding(self, model: BigGAN) -> Tensor:
        """The weighted mean of its classes' embeddings, as `Generator.embed` makes them: (D,)."""
        total = sum(self.classes.values())
        if not self.classes or min(self.classes.values()) < 0 or not total > 0:
            raise UserError(f"the weights of a picture's classes must be at least 0, and not all 0: {self.classes}")
        y = model.class_indices(list(self.classes)).to(model.G.linear.weight.device)
        rows = model.G.embed(y)                                                 # (classes, D)
        weights = torch.tensor([weight / total for weight in self.classes.values()], dtype=rows.dtype)
        return weights.to(rows.device) @ rows


@dataclass(frozen=True)
class Between:
    """The picture at `share` (0 to 1) of the way from one picture to another, by latent, by class or by both."""

    start: Picture
    end: Picture
    share: float
    moving: Moving = "both"

    def normal(self, z_dim: int) -> Tensor:
        """As `Picture.normal`: on the great circle between the two."""
        share = 0.0 if self.moving == "class" else self.share
        return slerp(self.start.normal(z_dim), self.end.normal(z_dim), share)

    def embedding(self, model: BigGAN) -> Tensor:
        """As `Picture.embedding`: on the straight line between the two."""
        share = 0.0 if self.moving == "z" else self.share
        return self.start.embedding(model) * (1 - share) + self.end.embedding(model) * share


def _numbers(given: Sequence[float], z_dim: int) -> Tensor:
    """A latent or a direction (z_dim,), float64; UserError if it belongs to models of another z_dim."""
    if len(given) != z_dim:
        raise UserError(f"a latent or direction of {len(given)} numbers was given; this model takes {z_dim}")
    return torch.tensor(given, dtype=torch.float64)


def step(g: Tensor, noise: Tensor, size: float) -> Tensor:
    """(g + size n) / sqrt(1 + size^2): a neighbour of g, standard normal if g and n are.

    The correlation with g is 1 / sqrt(1 + size^2): 0.5 changes details, 2 leaves little of the image.
    """
    return (g + size * noise) / (1 + size**2) ** 0.5


def slerp(a: Tensor, b: Tensor, share: float) -> Tensor:
    """The point at `share` of the great circle from a to b (Shoemake 1985), its norm between theirs."""
    cosine = torch.dot(a, b) / (a.norm() * b.norm())
    angle = torch.arccos(cosine.clamp(-1, 1))
    if angle < 1e-6 or share in (0.0, 1.0):             # one direction, where sin(angle) is nothing; exact ends
        return a * (1 - share) + b * share
    return (torch.sin((1 - share) * angle) * a + torch.sin(share * angle) * b) / torch.sin(angle)


def path(start: Picture, end: Picture, *, frames: int, moving: Moving = "both") -> list[Between]:
    """`frames` pictures (2 or more) in equal steps from one to another, both included."""
    if frames < 2:
        raise UserError(f"a path has at least 2 frames, not {frames}")
    return [Between(start, end, k / (frames - 1), moving) for k in range(frames)]


def draw(
    model: BigGAN,
    pictures: Sequence[Picture | Between],
    law: LatentLaw | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> Tensor:
    """The pictures as uint8 images (N, C, H, W), with the law's own statistics, which are measured if need be.

    `report` hears how far it is, where it takes long.
    """
    law = law or LatentLaw()
    prepare_law(model, law)
    return torch.cat(list(Progress("drew", len(pictures), report).over(draw_batches(model, pictures, law))))


@torch.no_grad()
def draw_batches(model: BigGAN, pictures: Sequence[Picture | Between], law: LatentLaw) -> Iterator[Tensor]:
    """`draw` four pictures at a time (B, C, R, R), with whichever statistics the model has for the law."""
    weight = model.G.linear.weight
    for first in range(0, len(pictures), BATCH):
        some = pictures[first : first + BATCH]
        padded = [*some, *[some[-1]] * (BATCH - len(some))]
        z = latents_of(padded, model.config.z_dim, law)
        embedding = torch.stack([picture.embedding(model) for picture in padded])
        with evaluation_mode(model.G), model.statistics_of(law):
            images = model.G.synthesize(z.to(weight), embedding.to(weight))
        yield to_uint8(images[: len(some)])


def latents_of(pictures: Sequence[Picture | Between], z_dim: int, law: LatentLaw) -> Tensor:
    """Their latents (N, z_dim), float32; of a plain picture just what its seed gives."""
    uniform = [
        uniforms(picture.seed, Stream.IMAGE, 0, 1, z_dim)[0]
        if isinstance(picture, Picture) and picture.plain
        else to_uniform(picture.normal(z_dim))
        for picture in pictures
    ]
    return law.from_uniform(torch.stack(uniform)).float()


def animation(
    images: Tensor, kind: Literal["gif", "webp"] = "gif", *, fps: float = 12, scale: int = 0, back: bool = True
) -> bytes:
    """An endless animation of uint8 images (N, C, H, W), there and `back`; `scale` 0 enlarges small ones."""
    width = images.shape[3]
    scale = scale or max(1, -(-SHOWN // width))
    size = (width * scale, images.shape[2] * scale)
    forth = [to_pil(image).resize(size, Image.Resampling.NEAREST) for image in images]
    frames, out = forth + forth[-2:0:-1] if back else forth, io.BytesIO()
    frames[0].save(
        out, kind.upper(), save_all=True, append_images=frames[1:], duration=round(1000 / fps), loop=0, lossless=True
    )
    return out.getvalue()
