"""Pictures from seeds and from latent files, which keep a picture that no seed gives.

    {"format": "biggan-latent-1", "law": {"kind": "normal", "value": 1.0}, "seed": 3,
     "classes": [{"label": 2, "name": "cat", "weight": 1.0}], "values": [0.31, ...]}

`values` are standard normal variates, before the law. A file fits any model of the same z_dim; classes go by name.
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from biggan.errors import UserError
from biggan.files import read_json, write_text
from biggan.latents import LatentLaw, image_labels
from biggan.model import BigGAN
from biggan.pictures import Picture

FORMAT = "biggan-latent-1"


def save_latent(model: BigGAN, picture: Picture, law: LatentLaw, path: str | Path, /, **about: Any) -> None:
    """Write a picture and its law as JSON, atomically; `about` is written beside them and not read again."""
    labels = model.class_indices(list(picture.classes)).tolist()
    content = {
        "format": FORMAT,
        **about,
        "law": dataclasses.asdict(law),
        "seed": picture.seed,
        "classes": [
            {"label": label, "name": model.class_names[label], "weight": weight}
            for label, weight in zip(labels, picture.classes.values(), strict=True)
        ],
        "values": picture.normal(model.config.z_dim).tolist(),
    }
    write_text(Path(path), json.dumps(content, indent=1) + "\n")


def load_latent(path: str | Path) -> tuple[Picture, LatentLaw]:
    """The picture in a latent file, and the law it was found under; UserError if there is none."""
    content = read_json(Path(path))
    if content.get("format") != FORMAT:
        raise UserError(f"{path} is not a latent file of biggan explore project (its format is not {FORMAT!r})")
    try:
        classes: dict[int | str, float] = {str(one["name"]): float(one["weight"]) for one in content["classes"]}
        values = tuple(float(value) for value in content["values"])
        law = LatentLaw(str(content["law"]["kind"]), float(content["law"]["value"]))
        return Picture(int(content["seed"]), classes, values=values), law
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is damaged ({error!r}); project the image again") from error


def pictures_of(
    model: BigGAN, seeds: Sequence[str], classes: Sequence[int | str] = (), num: int | None = None
) -> tuple[list[Picture], LatentLaw]:
    """Pictures of seeds, numbers or latent files, and of classes, both in turn; and the first file's law.

    Without classes a file's picture has its own, and a seed's the one that `biggan sample` draws for it. There are
    as many pictures as there are seeds or classes, whichever are more. One seed with `num` stands for `num`
    consecutive ones. Raises UserError.
    """
    if num is not None and num < 1:
        raise UserError(f"--num {num} must be at least 1")
    if num is not None and len(seeds) == 1 and seeds[0].isdecimal():
        seeds = [str(int(seeds[0]) + k) for k in range(num)]
    found = [picture_and_law(model, seed) for seed in seeds]
    labels = model.class_indices(list(classes)).tolist()
    pictures = []
    for k in range(max(len(found), 0 if num is not None else len(labels))):
        picture, _ = found[k % len(found)]
        pictures.append(dataclasses.replace(picture, classes={labels[k % len(labels)]: 1.0}) if labels else picture)
    return pictures, next((law for _, law in found if law.kind != "normal"), LatentLaw())


def picture_and_law(model: BigGAN, seed: str) -> tuple[Picture, LatentLaw]:
    """The picture that `biggan sample` draws for a seed, of the class that it draws, or that of a latent file."""
    if seed.isdecimal():
        label = int(image_labels([int(seed)], model.config.num_classes)[0])
        return Picture(int(seed), {label: 1.0}), LatentLaw()
    if not Path(seed).is_file():
        raise UserError(f"--seed {seed} is neither a number of at least 0 nor a latent file")
    return load_latent(seed)
