"""`biggan explore`: what a model has between, around and beyond single samples."""

import dataclasses
import functools
import json
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from biggan.cli.app import (
    SEVERAL,
    THRESHOLD_HELP,
    TRUNCATION_HELP,
    Model,
    app,
    beside,
    device_to_work_on,
    target_of,
)
from biggan.display import PlainObserver
from biggan.errors import UserError

if typing.TYPE_CHECKING:
    from biggan.explore.projection import FeatureMaps
    from biggan.latents import LatentLaw
    from biggan.metrics.classifier import Classifier
    from biggan.model import BigGAN
    from biggan.pictures import Between, Picture

explore = App(name="explore", help="Interpolate, mix classes, find neighbours and directions, project images.")
app.command(explore)

Classes = Annotated[list[str] | None, SEVERAL, Parameter(name="--class", help="names or numbers of classes, in turn")]
Seeds = Annotated[list[str] | None, SEVERAL, Parameter(help="seeds, or latent files of explore project; default: 0")]
Device = Annotated[str, Parameter(help="auto, cpu, cuda or mps")]
Data = Annotated[str | None, Parameter(help="real images; by default those of the training")]
MIXED_HELP = "two make a line, three a triangle, four a square"
WEIGHTS_HELP = "one mixture instead, of any number of classes"
EXTRACTOR_HELP = "classifier, efficientnet, inception[:LAYER], MODULE:CALLABLE"
FEATURES_HELP = "what is compared beside pixels: maps of a classifier of the data, of the run's D, or none"
LAYERS_HELP = "0 for the linear layer, k for stage k's batch norms; default: 0"
DIRECTIONS_HELP = "file of explore directions: a row for each of them"

FILMS: dict[str, Literal["gif", "webp"]] = {".gif": "gif", ".webp": "webp"}
SHEET_FRAMES, FILM_FRAMES = 9, 24
THRESHOLDS = (2.0, 1.0, 0.5, 0.04)          # the paper's figure 2


@Parameter(name="*")
@dataclasses.dataclass(frozen=True)
class Drawing:
    """The flags that every command draws by: the law of z, and where."""

    truncation: Annotated[float | None, Parameter(help=TRUNCATION_HELP)] = None
    threshold: Annotated[float | None, Parameter(help=THRESHOLD_HELP)] = None
    device: Device = "auto"

    def law(self, of_files: "LatentLaw | None" = None) -> "LatentLaw":
        """The law that the flags ask for, else that of the latent files, else N(0, 1)."""
        from biggan.latents import latent_law

        asked = self.truncation is not None or self.threshold is not None
        return of_files if of_files and not asked else latent_law(self.truncation, self.threshold)


DRAWING = Drawing()


@explore.command
def interpolate(
    model: Model,
    /,
    *,
    seed: Annotated[list[str] | None, SEVERAL, Parameter(help="stops: seeds or latent files; default: 0 1")] = None,
    class_: Classes = None,
    frames: Annotated[int | None, Parameter(help="from stop to stop, both included; default: 9, animated 24")] = None,
    loop: Annotated[bool, Parameter(help="go on from the last stop to the first", negative=())] = False,
    fps: Annotated[float, Parameter(help="frames a second of an animation")] = 12,
    out: Annotated[Path | None, Parameter(help="PNG, a row a leg, or GIF or WebP; default: MODEL/path.png")] = None,
    drawing: Drawing = DRAWING,
) -> None:
    """Draw the path through seeds, classes or both: a sheet, or an animation where --out ends in .gif or .webp."""
    target = out or beside(model, "path.png")
    film = FILMS.get(target.suffix.lower())
    if film is None and target.suffix.lower() != ".png":
        raise UserError(f"--out {target} must end in .png, .gif or .webp")
    if not fps > 0:
        raise UserError(f"--fps {fps:g} must be greater than 0")
    from biggan.explore.latents import pictures_of
    from biggan.explore.sheets import in_a_row, legs
    from biggan.files import write_bytes
    from biggan.pictures import animation, draw

    gan, report = opened(model, drawing.device)
    default = ["0"] if class_ is not None and len(class_) > 1 else ["0", "1"]
    stops, law = pictures_of(gan, seed or default, class_ or ())
    law = drawing.law(law)
    rows = legs(stops, frames or (FILM_FRAMES if film else SHEET_FRAMES), loop)
    if film is None:
        save_rows(gan, rows, law, target, report)
        return
    write_bytes(target, animation(draw(gan, in_a_row(rows, loop), law, report), film, fps=fps, back=not loop))
    print(f"wrote {target}")


@explore.command
def truncations(
    model: Model,
    /,
    *,
    class_: Classes = None,
    seed: Seeds = None,
    truncation: Annotated[list[float] | None, SEVERAL, Parameter(help=TRUNCATION_HELP + "; a column each")] = None,
    threshold: Annotated[
        list[float] | None, SEVERAL, Parameter(help=THRESHOLD_HELP + "; a column each; default: 2 1 0.5 0.04")
    ] = None,
    out: Annotated[Path | None, Parameter(help="PNG; default: MODEL/truncations.png")] = None,
    device: Device = "auto",
) -> None:
    """Draw a row a class and a column a truncation: one z along a row, each law with its own statistics."""
    target = target_of(out, model, "truncations.png")
    if truncation and threshold:
        raise UserError("--truncation and --threshold are two different laws; give one of them")
    from biggan.explore.latents import pictures_of
    from biggan.explore.sheets import truncation_sheet
    from biggan.latents import LatentLaw
    from biggan.sampling import save_image, spread_classes

    kind = "truncation" if truncation else "threshold"
    laws = [LatentLaw(kind, value) for value in truncation or threshold or THRESHOLDS]
    gan, report = opened(model, device)
    labels = gan.class_indices(class_).tolist() if class_ else spread_classes(gan.config.num_classes)
    pictures, _ = pictures_of(gan, seed or ["0"], labels)
    save_image(truncation_sheet(gan, pictures, laws, report), target)
    print(f"wrote {target}")


@explore.command
def mix(
    model: Model,
    /,
    *,
    class_: Annotated[list[str], SEVERAL, Parameter(name="--class", help=MIXED_HELP)],
    weights: Annotated[list[float] | None, SEVERAL, Parameter(help=WEIGHTS_HELP)] = None,
    seed: Seeds = None,
    steps: Annotated[int, Parameter(help="mixtures along a side")] = 7,
    out: Annotated[Path | None, Parameter(help="PNG; default: MODEL/mix.png")] = None,
    drawing: Drawing = DRAWING,
) -> None:
    """Draw mixtures of classes, weighted means of their embeddings, for each seed."""
    target = target_of(out, model, "mix.png")
    from biggan.explore.latents import pictures_of
    from biggan.explore.sheets import mixtures, with_classes

    gan, report = opened(model, drawing.device)
    labels = gan.class_indices(class_).tolist()
    pictures, law = pictures_of(gan, seed or ["0"])
    if weights is not None:
        rows = [[with_classes(picture, labels, weights) for picture in pictures]]
    else:
        rows = [row for picture in pictures for row in mixtures(picture, labels, steps)]
    save_rows(gan, rows, drawing.law(law), target, report)


@explore.command
def nearest(
    model: Model,
    /,
    *,
    class_: Classes = None,
    seed: Seeds = None,
    num: Annotated[int, Parameter(help="images, where one seed is given: image k has seed + k")] = 8,
    neighbours: Annotated[int, Parameter(name=("--neighbours", "-k"), help="real images shown for each")] = 4,
    extractor: Annotated[str, Parameter(help=EXTRACTOR_HELP)] = "classifier",
    data: Data = None,
    out: Annotated[Path | None, Parameter(help="PNG, with a JSON file beside it; default: MODEL/nearest.png")] = None,
    drawing: Drawing = DRAWING,
) -> None:
    """Draw images and, below each, the training images that are most like it; distances as JSON."""
    target = target_of(out, model, "nearest.png")
    from biggan.evaluation.extractors import open_extractor
    from biggan.evaluation.sides import open_training_images
    from biggan.explore.latents import pictures_of
    from biggan.explore.nearest import as_json, nearest_real, neighbour_sheet
    from biggan.files import write_text
    from biggan.pictures import draw
    from biggan.sampling import save_image

    gan, report = opened(model, drawing.device)
    pictures, law = pictures_of(gan, seed or ["0"], class_ or (), num)
    law = drawing.law(law)
    real = open_training_images(gan, data, report)
    eyes = open_extractor(extractor, real, device=gan.G.linear.weight.device, report=report)
    images = draw(gan, pictures, law, report)
    found = nearest_real(gan, images, real, eyes, neighbours, report)
    save_image(neighbour_sheet(images, real, found), target)
    numbers = {"model": str(model), "law": str(law), **as_json(gan, pictures, real, eyes, found)}
    write_text(target.with_suffix(".json"), json.dumps(numbers, indent=1) + "\n")
    print(f"wrote {target}, {target.with_suffix('.json')}")


@explore.command
def project(
    model: Model,
    image: Annotated[Path, Parameter(help="file of an image")],
    /,
    *,
    class_: Annotated[str | None, Parameter(name="--class", help="by default what the classifier sees")] = None,
    free_classes: Annotated[bool, Parameter(help="look for the best mixture of all classes too", negative=())] = False,
    features: Annotated[Literal["classifier", "discriminator", "none"], Parameter(help=FEATURES_HELP)] = "classifier",
    feature_weight: Annotated[float, Parameter(help="of the features' distance against that of the pixels")] = 1.0,
    restarts: Annotated[int, Parameter(help="optimisations from different latents, side by side")] = 8,
    steps: Annotated[int, Parameter(help="of each optimisation")] = 300,
    seed: Annotated[int, Parameter(help="restart k begins at the image of seed + k")] = 0,
    data: Data = None,
    out: Annotated[Path | None, Parameter(help="folder; default: MODEL/projection")] = None,
    drawing: Drawing = DRAWING,
) -> None:
    """Find the z whose image is most like a given one: latent.json, and projection.png with what each restart made."""
    from biggan.explore.latents import save_latent
    from biggan.explore.projection import comparison, open_target
    from biggan.explore.projection import project as run_projection
    from biggan.explore.sheets import described
    from biggan.sampling import save_image

    gan, report = opened(model, drawing.device)
    law, target = drawing.law(), open_target(gan, image)
    judge = functools.cache(lambda: classifier_of(gan, data, report))
    label = int(gan.class_indices([class_])[0]) if class_ else int(judge()(target[None]).logits.argmax())
    report(f"projecting {image} as class {gan.class_names[label]}")
    maps: FeatureMaps | None = None
    if features == "classifier":
        maps = judge().feature_maps
    elif features == "discriminator":
        maps = maps_of_discriminator(gan, model, report)
    found = run_projection(
        gan, target, {label: 1.0}, law, features=maps, feature_weight=feature_weight, free_classes=free_classes,
        restarts=restarts, steps=steps, seed=seed, report=report,
    )  # fmt: skip
    best, folder = found[0], out or beside(model, "projection")
    about = {"image": str(image), "model": str(model), "loss": best.loss, "pixel_error": best.pixels}
    save_latent(gan, best.picture, law, folder / "latent.json", **about)
    save_image(comparison(target, found), folder / "projection.png")
    print(f"{described(gan, best.picture)}: pixels differ by {best.pixels:.1f} of 255 (root mean square)")
    print(f"wrote {folder / 'latent.json'}, {folder / 'projection.png'}")
    print(f"next: biggan explore around {model} --seed {folder / 'latent.json'}")


@explore.command
def around(
    model: Model,
    /,
    *,
    seed: Annotated[str, Parameter(help="a seed, or a latent file of explore project")] = "0",
    class_: Annotated[str | None, Parameter(name="--class", help="by default the file's, or drawn by the seed")] = None,
    classes: Annotated[list[str] | None, SEVERAL, Parameter(help="to draw its z in; default: all, or ten")] = None,
    size: Annotated[float, Parameter(help="of the neighbours' steps: 0.5 changes details, 2 leaves little")] = 0.5,
    directions: Annotated[Path | None, Parameter(help=DIRECTIONS_HELP)] = None,
    most: Annotated[float, Parameter(help="how far to go along a direction, in standard deviations of z")] = 3.0,
    frames: Annotated[int, Parameter(help="images in a row")] = SHEET_FRAMES,
    out: Annotated[Path | None, Parameter(help="PNG; default: MODEL/around.png")] = None,
    drawing: Drawing = DRAWING,
) -> None:
    """Edit one image: its neighbours, its z in other classes, and moved along directions."""
    target = target_of(out, model, "around.png")
    from biggan.explore.directions import load_directions
    from biggan.explore.latents import pictures_of
    from biggan.explore.sheets import edits

    gan, report = opened(model, drawing.device)
    found = load_directions(directions).directions if directions is not None else None
    (picture,), law = pictures_of(gan, [seed], [class_] if class_ else ())
    labels = gan.class_indices(classes).tolist() if classes else None
    rows = edits(gan, picture, size=size, classes=labels, directions=found, most=most, frames=frames)
    save_rows(gan, list(rows.values()), drawing.law(law), target, report, list(rows))


@explore.command
def directions(
    model: Model,
    /,
    *,
    num: Annotated[int, Parameter(help="directions, those that change the most first")] = 5,
    layers: Annotated[list[int] | None, SEVERAL, Parameter(help=LAYERS_HELP)] = None,
    seed: Seeds = None,
    class_: Classes = None,
    most: Annotated[float, Parameter(help="how far to go, in standard deviations of z")] = 3.0,
    frames: Annotated[int, Parameter(help="images in a row, the middle one of an odd number unmoved")] = 7,
    out: Annotated[Path | None, Parameter(help="default: MODEL/directions.safetensors; a PNG comes beside")] = None,
    drawing: Drawing = DRAWING,
) -> None:
    """Find the directions of z that change the most, without labels (SeFa), and draw them for each seed."""
    from biggan.explore.directions import save_directions, sefa
    from biggan.explore.latents import pictures_of
    from biggan.explore.sheets import along, spread

    target = target_of(out, model, "directions.safetensors")
    gan, report = opened(model, drawing.device)
    pictures, law = pictures_of(gan, seed or ["0"], class_ or ())
    found, distances = sefa(gan, num, layers or (0,)), spread(most, frames)
    rows = [along(picture, direction, distances) for direction in found.directions for picture in pictures]
    names = [f"direction {k + 1}" if picture is pictures[0] else "" for k in range(num) for picture in pictures]
    save_directions(found, target)
    law = drawing.law(law)
    headings = [f"{distance:+.3g}" if distance else "0" for distance in distances]
    save_rows(gan, rows, law, target.with_suffix(".png"), report, names, headings)
    print(f"wrote {target}: " + ", ".join(f"{value:.3f}" for value in found.eigenvalues.tolist()) + " (eigenvalues)")


# ---- shared ----------------------------------------------------------------------------------------


def opened(model: Path, device: str) -> tuple["BigGAN", Callable[[str], None]]:
    """The model, and where progress is told."""
    from biggan.opening import open_model

    report = PlainObserver().message
    return open_model(model, device_to_work_on(device), report), report


def save_rows(
    gan: "BigGAN", rows: "Sequence[Sequence[Picture | Between]]", law: "LatentLaw", target: Path,
    report: Callable[[str], None], names: Sequence[str] | None = None, headings: Sequence[str] = (),
) -> None:  # fmt: skip
    """Draw rows of pictures as a sheet; rows without names are named by the classes at their ends."""
    from biggan.explore.sheets import draw_rows, row_name
    from biggan.sampling import save_image, sheet

    names = [row_name(gan, row) for row in rows] if names is None else names
    save_image(sheet(draw_rows(gan, rows, law, report), names, headings=headings), target)
    print(f"wrote {target}")


def classifier_of(gan: "BigGAN", data: str | None, report: Callable[[str], None]) -> "Classifier":
    """The classifier of the images that the model was trained on, on its device."""
    from biggan.evaluation import cached_classifier, check_images
    from biggan.evaluation.sides import open_training_images

    real = open_training_images(gan, data, report)
    check_images(gan, real)
    return cached_classifier(real, report).to(gan.G.linear.weight.device)


def maps_of_discriminator(gan: "BigGAN", model: Path, report: Callable[[str], None]) -> "FeatureMaps":
    """The feature maps of the run's discriminator."""
    from biggan.explore.projection import discriminator_maps
    from biggan.finetuning import load_start

    D = None if model.is_file() else load_start(model, report, gan.G.linear.weight.device).D
    if D is None:
        raise UserError(f"{model} has no discriminator; use --features classifier or none")
    return discriminator_maps(D)
