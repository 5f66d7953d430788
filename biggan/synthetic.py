"""A data set of generated images: a folder a class, ready to train something else on.

    OUT/cat/seed000012.png      an image is named by its seed
    OUT/images.jsonl            a line an image: its class, seed, confidence and distance
    OUT/manifest.json           model, latent law, filter and counts

Notable:
- Try t of a set draws class t mod K with seed + t, as `biggan sample` does, so each image can be drawn again.
- A class's images are judged in the order of their tries, and a try's verdict depends on those before it
  alone. So a set that was interrupted goes on where it stopped and ends the same.
- Confidence is the probability that a classifier of the real images gives to the wanted class. Distance is
  to the nearest image made before of that class, in the classifier's features, in units of what real images
  of the class have: 1 is as far as a real image typically is from its nearest neighbour, 0 a copy.

Deliberately absent: a comparison with the real images themselves, which is a question to evaluation.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from biggan.data import LabelledImages
from biggan.errors import UserError
from biggan.evaluation import cached_classifier, check_images
from biggan.files import atomic_write, exclusive, read_json, write_text
from biggan.latents import LatentLaw
from biggan.metrics.classifier import Classifier
from biggan.model import BigGAN
from biggan.progress import Progress
from biggan.sampling import (
    Precision,
    bf16_is_close,
    fitting_batch_size,
    sample,
    save_image,
    to_pil,
)
from biggan.tracker import read_lines

FORMAT = "biggan-synthetic-1"
FEWEST_TRIES = 200          # of a class, however few images are wanted
SCALE_IMAGES = 1_000        # real images of a class that its scale of distance is measured on

Report = Callable[[str], None]


@dataclass(frozen=True)
class Wish:
    """What a set is to be."""

    per_class:      int             # images of each class
    seed:           int = 0
    min_confidence: float = 0.0     # 0 to 1; 0 for no filter
    min_distance:   float = 0.0     # in units of real images' nearest neighbours; 0 for no filter
    tries:          int = 20        # tries for each image wanted, before giving up
    precision:      Precision = "auto"      # of drawing; what auto comes to is part of the manifest

    def __post_init__(self) -> None:
        if self.per_class < 1:
            raise UserError(f"--per-class {self.per_class} must be at least 1")
        if not 0 <= self.min_confidence < 1:
            raise UserError(f"--min-confidence {self.min_confidence:g} must be at least 0 and below 1")
        if self.min_distance < 0 or self.tries < 1:
            raise UserError("--min-distance must be at least 0 and --tries at least 1")

    @property
    def filters(self) -> bool:
        """Whether images are judged at all."""
        return bool(self.min_confidence or self.min_distance)

    @property
    def limit(self) -> int:
        """Tries of a class."""
        return max(FEWEST_TRIES, self.tries * self.per_class)


@dataclass
class Shelf:
    """The images of one class that are made: a line each, and their features where there is a judge."""

    folder: str
    lines: list[dict[str, Any]] = field(default_factory=list)
    features: list[Tensor] = field(default_factory=list)
    confidences: list[float] = field(default_factory=list)      # of everything tried in this session
    unsure: int = 0                                             # rejected by confidence
    alike: int = 0                                              # rejected by distance


class Judge:
    """What a classifier of the real images says of generated ones."""

    def __init__(self, classifier: Classifier, data: LabelledImages) -> None:
        self.classifier, self.data = classifier, data
        self.scales: dict[int, float] = {}

    def look(self, images: Tensor, label: int) -> tuple[list[float], Tensor]:
        """Confidence in `label` and features (N, F) of images (N, C, H, W) uint8."""
        seen = self.classifier(images)
        return seen.logits.double().softmax(1)[:, label].tolist(), seen.features

    def scale(self, label: int) -> float:
        """The median distance of a real image of the class to its nearest neighbour."""
        if label not in self.scales:
            rows = self.data.rows_by_class[label][:SCALE_IMAGES]
            if len(rows) < 2:
                raise UserError(
                    f"--min-distance needs at least two real images of each class; {self.data.source} has {len(rows)} "
                    f"of {self.data.class_names[label]}"
                )
            features = self.classifier(self.data.batch(rows)[0]).features
            distances = torch.cdist(features, features).fill_diagonal_(float("inf"))
            self.scales[label] = max(float(distances.min(1).values.median()), 1e-12)
        return self.scales[label]

    def distance(self, features: Tensor, before: Sequence[Tensor], label: int) -> float | None:
        """To the nearest of the images before, in units of the class's scale; None for the first."""
        if not before:
            return None
        return float((torch.stack(list(before)) - features).norm(dim=1).min()) / self.scale(label)


def judge_by(model: BigGAN, data: LabelledImages, report: Report) -> Judge:
    """A judge by the classifier of real images; UserError unless they have the model's classes and shape."""
    check_images(model, data)
    return Judge(cached_classifier(data, report), data)


def make_set(
    model: BigGAN,
    law: LatentLaw,
    wish: Wish,
    out: Path,
    *,
    name: str,                                          # of the model, for the manifest
    classes: Sequence[int] | None = None,               # by default all
    judge: Judge | None = None,                         # needed where the wish filters
    batch_size: int = 64,                               # 0 for what fits
    report: Report = lambda line: None,
) -> dict[str, Any]:
    """Make the images that a wish asks for in the folder `out`, or go on with them; returns the manifest.

    Raises UserError if the folder holds another set, or if the filter rejects nearly everything; what was
    made until then stays.
    """
    assert judge is not None or not wish.filters, "a filter needs a judge"
    if wish.precision == "auto":
        wish = dataclasses.replace(wish, precision="bf16" if bf16_is_close(model) else "fp32")
    batch_size = batch_size or fitting_batch_size(model)
    with exclusive(out):
        head = _head(model, law, wish, judge, name)
        shelves = _claim(out, head, model)
        wanted = range(model.config.num_classes) if classes is None else classes
        made = sum(len(shelves[label].lines) for label in wanted)
        progress = Progress("made", wish.per_class * len(wanted), report, made)
        maker = Maker(model, law, wish, out, judge if wish.filters else None, batch_size)
        for label in wanted:
            maker.fill(label, shelves[label], progress)
        manifest = {**head, "images": {shelf.folder: len(shelf.lines) for shelf in shelves}}
        write_text(out / "manifest.json", json.dumps(manifest, indent=2) + "\n")
    return manifest


@dataclass(frozen=True)
class Maker:
    """Draws, judges and writes the images of one set."""

    model: BigGAN
    law: LatentLaw
    wish: Wish
    out: Path
    judge: Judge | None             # where the wish filters
    batch_size: int

    def fill(self, label: int, shelf: Shelf, progress: Progress) -> None:
        """Draw images of one class until there are enough."""
        wish, K, name = self.wish, self.model.config.num_classes, self.model.class_names[label]
        tried = (shelf.lines[-1]["seed"] - wish.seed) // K + 1 if shelf.lines else 0
        if self.judge is not None and len(shelf.lines) < wish.per_class:
            made = [_pixels(self.out / line["file"]) for line in shelf.lines]
            shelf.features = [self.judge.look(pixels, label)[1][0] for pixels in made]
        while len(shelf.lines) < wish.per_class:
            if tried >= wish.limit:
                raise UserError(_rejected(name, shelf, tried, wish))
            wanted = self.batch_size if self.judge else wish.per_class - len(shelf.lines)
            count = min(self.batch_size, wanted, wish.limit - tried)
            seeds = [wish.seed + (tried + k) * K + label for k in range(count)]
            y = torch.full((count,), label)
            (images,) = sample(self.model, y, seeds, self.law, batch_size=count, precision=wish.precision)
            before, tried = len(shelf.lines), tried + count
            self.keep(images, seeds, label, shelf)
            progress.what = f"class {name} after {tried:,} tries: made"
            progress.advance(len(shelf.lines) - before)

    def keep(self, images: Tensor, seeds: list[int], label: int, shelf: Shelf) -> None:
        """Write the images of one batch that pass, and then their lines."""
        verdicts = self.verdicts(images, label, shelf)
        before = len(shelf.lines)
        for image, seed in zip(images, seeds, strict=True):
            verdict = next(verdicts) if len(shelf.lines) < self.wish.per_class else None
            if verdict is None:
                continue
            file = f"{shelf.folder}/seed{seed:06d}.png"
            save_image(to_pil(image), self.out / file)
            shelf.lines.append({"file": file, "class": self.model.class_names[label], "seed": seed, **verdict})
        with (self.out / "images.jsonl").open("a", encoding="utf-8") as handle:
            handle.writelines(json.dumps(line) + "\n" for line in shelf.lines[before:])
            handle.flush()
            os.fsync(handle.fileno())

    def verdicts(self, images: Tensor, label: int, shelf: Shelf) -> Iterator[dict[str, Any] | None]:
        """For each image, in turn, what the manifest says of it, or None if it does not pass."""
        if self.judge is None:
            yield from ({} for _ in images)
            return
        confidences, features = self.judge.look(images, label)
        for confidence, feature in zip(confidences, features, strict=True):
            shelf.confidences.append(confidence)
            distance = self.judge.distance(feature, shelf.features, label) if self.wish.min_distance else None
            if confidence < self.wish.min_confidence:
                shelf.unsure += 1
                yield None
            elif distance is not None and distance < self.wish.min_distance:
                shelf.alike += 1
                yield None
            else:
                shelf.features.append(feature)
                rounded = None if distance is None else round(distance, 6)
                yield {"confidence": round(confidence, 6), "distance": rounded}


def _rejected(name: str, shelf: Shelf, tried: int, wish: Wish) -> str:
    """What to say when a filter leaves too little."""
    said = f"class {name}: {len(shelf.lines):,} of {wish.per_class:,} images after {tried:,} tries"
    if shelf.confidences:
        middle = float(np.median(shelf.confidences))
        said += f"; --min-confidence {wish.min_confidence:g} rejected {shelf.unsure:,} (the median confidence is "
        said += f"{middle:.3f}) and --min-distance {wish.min_distance:g} rejected {shelf.alike:,}"
    mend = "Ask for less, or allow more --tries; what was made is kept, and the same command with other --tries goes on"
    return f"{said}. {mend}"


# ---- the folder ------------------------------------------------------------------------------------


def _head(model: BigGAN, law: LatentLaw, wish: Wish, judge: Judge | None, name: str) -> dict[str, Any]:
    """What makes two sets the same."""
    digest = hashlib.sha256()
    for key, value in sorted(model.G.state_dict().items()):
        digest.update(key.encode() + value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    wished = dataclasses.asdict(wish)
    return {
        "format": FORMAT,
        "model": name,
        "weights": digest.hexdigest()[:16],
        "latent_law": str(law),
        **{key: wished[key] for key in ("seed", "min_confidence", "min_distance", "precision")},
        "classifier": judge.classifier.fingerprint if judge is not None and wish.filters else None,
        "classifier_held_out_accuracy": judge.classifier.accuracy if judge is not None and wish.filters else None,
        "class_names": list(model.class_names),
    }


def _claim(out: Path, head: dict[str, Any], model: BigGAN) -> list[Shelf]:
    """Begin a set or find what there is of it, class by class; UserError if the folder holds something else."""
    path = out / "manifest.json"
    if path.is_file():
        there = read_json(path)
        differing = [key for key in head if key != "model" and there.get(key) != head[key]]
        if differing:
            changes = ", ".join(f"{key} {there.get(key)} -> {head[key]}" for key in differing)
            raise UserError(f"{out} holds another set ({changes}); give the same flags or another --dataset")
    elif any(entry.name != ".lock" for entry in out.iterdir()):
        raise UserError(f"{out} is not empty and not a set of generated images; give another --dataset")
    else:
        write_text(path, json.dumps(head, indent=2) + "\n")
    shelves = [Shelf(folder) for folder in folder_names(model.class_names)]
    by_name = dict(zip(model.class_names, shelves, strict=True))
    whole: list[dict[str, Any]] = [line for line in read_lines(out / "images.jsonl") if (out / line["file"]).is_file()]
    for line in whole:
        by_name[line["class"]].lines.append(line)
    with atomic_write(out / "images.jsonl") as temporary:
        temporary.write_text("".join(json.dumps(line) + "\n" for line in whole), encoding="utf-8")
    return shelves


def folder_names(class_names: Sequence[str]) -> list[str]:
    """A folder for each class, named like it as far as a file system allows, and each another one."""
    names: list[str] = []
    for label, class_name in enumerate(class_names):
        name = "".join(c if c.isalnum() or c in "-_ " else "_" for c in class_name).strip() or "class"
        taken = {other.casefold() for other in names}
        names.append(f"{name}_{label}" if name.casefold() in taken else name)
    return names


def _pixels(path: Path) -> Tensor:
    """A PNG file as (1, C, H, W) uint8."""
    with Image.open(path) as image:
        pixels = np.array(image, dtype=np.uint8)
    return torch.from_numpy(pixels).view(*pixels.shape[:2], -1).permute(2, 0, 1)[None].contiguous()
