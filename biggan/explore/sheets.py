"""Sheets of pictures: paths between stops, classes by truncation, mixtures of classes, and what lies around one.

Each function gives rows of `Picture`s, or draws them; `biggan.sampling.sheet` lays rows out, and
`biggan.pictures.animation` makes a file that moves of a path.
"""

import dataclasses
from collections.abc import Callable, Sequence

import torch
from PIL import Image
from torch import Tensor

from biggan.errors import UserError
from biggan.latents import LatentLaw
from biggan.model import BigGAN
from biggan.pictures import Between, Picture, draw, path
from biggan.sampling import sheet, spread_classes

CLASSES = 10                # of a row of edits

Report = Callable[[str], None]


def legs(stops: Sequence[Picture], frames: int, loop: bool = False) -> list[list[Between]]:
    """A path of `frames` pictures, both ends included, from each stop to the next; `loop` adds that back to the first.

    Where two stops have one seed only the class moves, where they have one class only the latent.
    """
    if len(stops) < 2:
        raise UserError("a path needs at least two stops; give several seeds or several classes")
    ends = [*stops[1:], stops[0]] if loop else stops[1:]
    return [path(start, end, frames=frames) for start, end in zip(stops, ends, strict=False)]


def in_a_row(of_legs: Sequence[Sequence[Between]], loop: bool = False) -> list[Between]:
    """The frames of consecutive legs as one film: the stops where two legs meet come once."""
    frames = [frame for leg in of_legs for frame in leg[:-1]]
    return frames if loop else [*frames, of_legs[-1][-1]]


def draw_rows(
    model: BigGAN,
    rows: Sequence[Sequence[Picture | Between]],
    law: LatentLaw | None = None,
    report: Report = lambda line: None,
) -> list[Tensor]:
    """Rows of pictures as rows of uint8 images (N, C, H, W)."""
    images = draw(model, [picture for row in rows for picture in row], law, report)
    return list(images.split([len(row) for row in rows]))


def truncation_sheet(
    model: BigGAN, pictures: Sequence[Picture], laws: Sequence[LatentLaw], report: Report = lambda line: None
) -> Image.Image:
    """A row a picture and a column a law, all of one kind: one latent as it is cut more and more.

    Each law is drawn with batch statistics of its own.
    """
    columns = [draw(model, pictures, law, report) for law in laws]
    names = [described(model, picture) for picture in pictures]
    values = [f"{law.value:g}" for law in laws]
    return sheet(list(torch.stack(columns, dim=1)), names, headings=values, corner=laws[0].kind)


def mixtures(picture: Picture, classes: Sequence[int | str], steps: int = 7) -> list[list[Picture]]:
    """One latent in mixtures of classes: over a line (2 classes), a triangle (3) or a square (4), they at the corners.

    `steps` is the number of mixtures along a side. A line runs from the first class to the second; a triangle has
    the first at its top; a square has them at top left, top right, bottom left and bottom right. Raises UserError.
    """
    if len(set(classes)) < len(classes) or not 2 <= len(classes) <= 4:
        raise UserError("two, three or four different classes can be mixed in a sheet; for more give their --weights")
    if steps < 2:
        raise UserError(f"a side of mixtures has at least 2 steps, not {steps}")
    n = steps - 1
    grid: list[list[tuple[float, ...]]]
    if len(classes) == 2:
        grid = [[(1 - j / n, j / n) for j in range(steps)]]
    elif len(classes) == 3:
        grid = [[(1 - i / n, (i - j) / n, j / n) for j in range(i + 1)] for i in range(steps)]
    else:
        sides = [k / n for k in range(steps)]
        grid = [[((1 - v) * (1 - u), (1 - v) * u, v * (1 - u), v * u) for u in sides] for v in sides]
    return [[with_classes(picture, classes, weights) for weights in row] for row in grid]


def with_classes(picture: Picture, classes: Sequence[int | str], weights: Sequence[float]) -> Picture:
    """The same latent as a mixture of classes; UserError unless there is a weight for each."""
    if len(weights) != len(classes):
        raise UserError(f"{len(weights)} weights for {len(classes)} classes")
    return dataclasses.replace(picture, classes=dict(zip(classes, weights, strict=True)))


def edits(
    model: BigGAN,
    picture: Picture,
    *,
    size: float = 0.5,
    classes: Sequence[int | str] | None = None,
    directions: Tensor | None = None,
    most: float = 3.0,
    frames: int = 9,
    seed: int = 0,
) -> dict[str, list[Picture]]:
    """What lies around a picture, as rows of `frames` pictures by name.

    neighbours    the picture, then each a step of `size` away (`biggan.pictures.step`), by seed, seed + 1, ...
    classes       its latent in these classes, by default in all or in ten spread over them
    direction k   moved along the k-th of directions (K, z_dim), from -most to most standard deviations of z
    """
    distances = spread(most, frames)
    shown = spread_classes(model.config.num_classes, CLASSES) if classes is None else classes
    steps = [(*picture.steps, (seed + k, size)) for k in range(frames - 1)]
    rows = {
        "neighbours": [picture, *(dataclasses.replace(picture, steps=taken) for taken in steps)],
        "classes": [dataclasses.replace(picture, classes={label: 1.0}) for label in shown],
    }
    for k, direction in enumerate(directions if directions is not None else ()):
        rows[f"direction {k + 1}"] = along(picture, direction, distances)
    return rows


def along(picture: Picture, direction: Tensor, distances: Sequence[float]) -> list[Picture]:
    """The picture moved along a direction (z_dim,) by each of the distances, in standard deviations of z."""
    numbers = tuple(direction.tolist())
    return [dataclasses.replace(picture, moves=(*picture.moves, (numbers, distance))) for distance in distances]


def spread(most: float, count: int) -> list[float]:
    """`count` distances in equal steps from -most to most; an odd count has 0 among them."""
    if count < 2:
        raise UserError(f"--frames {count} must be at least 2")
    return [most * (2 * k / (count - 1) - 1) for k in range(count)]


def row_name(model: BigGAN, row: Sequence[Picture | Between]) -> str:
    """What a row of pictures goes from and to, by class; nothing where an end is a mixture."""
    first, last = row[0], row[-1]
    ends = (
        first.start if isinstance(first, Between) else first,
        last.end if isinstance(last, Between) else last,
    )
    if any(sum(weight > 0 for weight in end.classes.values()) > 1 for end in ends):
        return ""
    return " to ".join(dict.fromkeys(described(model, end) for end in ends))


def described(model: BigGAN, picture: Picture) -> str:
    """A picture's classes by name, with their shares where they are several; the three largest."""
    parts = sorted(((w, label) for label, w in picture.classes.items() if w > 0), key=lambda part: -part[0])
    names = [model.class_names[int(model.class_indices([label])[0])] for _, label in parts[:3]]
    if len(parts) == 1:
        return names[0]
    total = sum(picture.classes.values())
    return ", ".join(f"{weight / total:.0%} {name}" for name, (weight, _) in zip(names, parts, strict=False))
