"""The memorisation report: shares of copies, class by class, and a picture of the closest ones."""

from typing import Any

import torch
from PIL import Image
from torch import Tensor

from biggan.data import LabelledImages
from biggan.evaluation.drawing import draw, sheet_with_real
from biggan.evaluation.reference import Reference
from biggan.latents import LatentLaw
from biggan.metrics.nearest import QUANTILE, Memorisation, beyond_chance, memorisation
from biggan.model import BigGAN

TRAIN_MOST = 100_000            # training images that are searched
COPIES_FEWEST = 5               # fewer of a class are chance, where there are many classes
SHOWN = 10


def report_memorisation(
    features: Tensor, y: Tensor, train: Reference, held_out: Reference, class_names: tuple[str, ...], seed: int
) -> dict[str, Any]:
    """What is to be said of generated images with features (N, F) and labels (N,), as JSON values.

    `nearer` is the share nearer to a training image than to a held-out one (half, if nothing is remembered),
    `copies` that at most as far from a training image as one held-out image in a hundred is. A class is
    flagged if either is beyond chance. `closest` are the images of the smallest ratio of the two distances.
    """
    found = memorisation(features, train.features, held_out.features)
    classes = [of_class(name, found, y == label) for label, name in enumerate(class_names)]
    return {
        "nearer": share(found.nearer),
        "copies": share(found.copies),
        "threshold": found.threshold,
        "flagged": [c["class"] for c in classes if c["flagged"]],
        "classes": classes,
        "closest": closest(found, y, train, held_out, seed),
        "train_searched": len(train.features),
        "held_out_searched": len(held_out.features),
    }


def of_class(name: str, found: Memorisation, here: Tensor) -> dict[str, Any]:
    """One class's shares, and whether chance explains them."""
    count, nearer, copies = int(here.sum()), share(found.nearer[here]), share(found.copies[here])
    copied = int(found.copies[here].sum()) >= COPIES_FEWEST and beyond_chance(copies, QUANTILE, found.train.row[here])
    flagged = copied or beyond_chance(nearer, 0.5, found.winner[here])
    return {"class": name, "generated": count, "nearer": nearer, "copies": copies, "flagged": flagged}


def closest(
    found: Memorisation, y: Tensor, train: Reference, held_out: Reference, seed: int
) -> list[dict[str, float | int]]:
    """The images that are most like a training image, each with its neighbours on both sides."""
    ratio = found.train.distance / found.held_out.distance.clamp(min=1e-12)
    return [
        {
            "seed": seed + k,
            "label": int(y[k]),
            "train_row": int(train.rows[found.train.row[k]]),
            "train_distance": float(found.train.distance[k]),
            "held_out_row": int(held_out.rows[found.held_out.row[k]]),
            "held_out_distance": float(found.held_out.distance[k]),
        }
        for k in ratio.argsort()[:SHOWN].tolist()
    ]


def share(flags: Tensor) -> float:
    """The part of flags that are set; 0 of none."""
    return float(flags.double().mean()) if len(flags) else 0.0


def picture(
    model: BigGAN, law: LatentLaw, train: LabelledImages, held_out: LabelledImages, report: dict[str, Any]
) -> Image.Image:
    """Three rows: the closest generated images, and the nearest training and held-out image of each."""
    drawn = [next(draw(model, torch.tensor([one["label"]]), one["seed"], law)) for one in report["closest"]]
    sides = {"training": (train, "train_row"), "held out": (held_out, "held_out_row")}
    rows = {name: (data, [one[which] for one in report["closest"]]) for name, (data, which) in sides.items()}
    return sheet_with_real(torch.cat(drawn), rows)
