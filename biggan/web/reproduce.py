"""The command and the Python that draw what is on the screen, to the bit on the same machine."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from biggan.latents import LatentLaw
from biggan.model import BigGAN
from biggan.pictures import BATCH, Picture
from biggan.web.schema import AnimationIn

HEAD = """\
from pathlib import Path

from biggan.latents import LatentLaw
from biggan.opening import open_model
from biggan.pictures import {names}
{more}
model = open_model({source!r})
law = {law}
"""
PICTURES = """\
pictures = [
{rows}
]
folder = Path("pictures")
folder.mkdir(exist_ok=True)
for k, image in enumerate(draw(model, pictures, law)):
    to_pil(image).save(folder / f"{{k:03d}}.png")
"""
PATH = """\
frames = path(
    {start},
    {end},
    frames={frames}, moving={moving!r},
)
Path("path.{format}").write_bytes(animation(draw(model, frames, law), {format!r}, fps={fps}))
"""


def python_of_pictures(source: Path, model: BigGAN, law: LatentLaw, pictures: Sequence[Picture]) -> str:
    """A script that writes the pictures as PNG files."""
    rows = "\n".join(f"    {code(picture, model)}," for picture in pictures)
    return _head(source, law, "Picture, draw", "from biggan.sampling import to_pil\n") + PICTURES.format(rows=rows)


def python_of_path(source: Path, model: BigGAN, law: LatentLaw, asked: AnimationIn) -> str:
    """A script that writes the animation of a path."""
    return _head(source, law, "Picture, animation, draw, path") + PATH.format(
        start=code(asked.start.picture(), model),
        end=code(asked.end.picture(), model),
        frames=asked.frames,
        moving=asked.moving,
        format=asked.format,
        fps=asked.fps,
    )


def _head(source: Path, law: LatentLaw, names: str, more: str = "") -> str:
    made = "LatentLaw()" if law.kind == "normal" else f"LatentLaw({law.kind!r}, {law.value!r})"
    return HEAD.format(names=names, more=more, source=str(source), law=made)


def code(picture: Picture, model: BigGAN) -> str:
    """A picture as Python, its classes by name."""
    classes = {_name(int(label), model): weight for label, weight in picture.classes.items()}
    steps = f", steps={tuple(picture.steps)!r}" if picture.steps else ""
    return f"Picture({picture.seed}, {classes!r}{steps})"


def _name(label: int, model: BigGAN) -> int | str:
    """The class's name where it means this class and no other, else its label."""
    name = model.class_names[label]
    return name if model.class_indices(name).tolist() == [label] else label


def command(source: Path, model: BigGAN, law: LatentLaw, pictures: Sequence[Picture]) -> str | None:
    """`biggan sample ...` if it draws just these pictures: plain ones of consecutive seeds, classes in turn.

    It draws in batches of as many pictures as the studio does, so their number must be a multiple of it.
    """
    first, labels = pictures[0].seed, [label for picture in pictures for label in picture.classes]
    plain = all(len(picture.classes) == 1 and not picture.steps for picture in pictures)
    seeds = [picture.seed for picture in pictures]
    if not plain or len(pictures) % BATCH or seeds != list(range(first, first + len(pictures))):
        return None
    period = next(n for n in range(1, len(labels) + 1) if all(labels[k] == labels[k % n] for k in range(len(labels))))
    names = [_name(int(label), model) for label in labels[:period]]
    if source.is_file() or any(not isinstance(name, str) or name.startswith("-") for name in names):
        return None
    words = ["biggan", "sample", str(source), "--class", *map(str, names), "--num", str(len(pictures))]
    words += ["--seed", str(first), "--batch-size", str(BATCH), "--precision", "fp32"]
    if law.kind != "normal":
        words += [f"--{law.kind}", f"{law.value:g}"]
    return shlex.join(words)
