"""`biggan sample`."""

import typing
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Group, Parameter

from biggan.cli.app import SEVERAL, THRESHOLD_HELP, TRUNCATION_HELP, Model, app, beside, device_to_work_on, target_of
from biggan.display import PlainObserver
from biggan.errors import UserError

if typing.TYPE_CHECKING:
    from biggan.latents import LatentLaw
    from biggan.model import BigGAN
    from biggan.synthetic import Wish

CLASS_HELP = "names or numbers of classes, in turn; by default drawn uniformly, or all on a sheet"
PRECISION_HELP = "auto is bf16 where that is fast and changes pixels by less than 1/255 on average"
Precision = Literal["auto", "bf16", "fp32"]
ROWS_HELP = "; several make a sheet, a row each"
DISTANCE_HELP = "least distance to another image of its class; 1 is that of real images from their nearest"
SET = Group("A data set of generated images", sort_key=1)


@app.command
def sample(
    model: Model,
    /,
    *,
    class_: Annotated[list[str] | None, SEVERAL, Parameter(name="--class", help=CLASS_HELP)] = None,
    num: Annotated[int | None, Parameter(help="images in all; by default 16, or 10 a class on a sheet")] = None,
    truncation: Annotated[list[float] | None, SEVERAL, Parameter(help=TRUNCATION_HELP + ROWS_HELP)] = None,
    threshold: Annotated[list[float] | None, SEVERAL, Parameter(help=THRESHOLD_HELP + ROWS_HELP)] = None,
    seed: Annotated[int, Parameter(help="image k has seed + k")] = 0,
    out: Annotated[Path | None, Parameter(help="folder for PNG files, or the sheet's file")] = None,
    sheet: Annotated[bool, Parameter(help="one picture, a row a class, instead of files", negative=())] = False,
    batch_size: Annotated[int, Parameter(help="images a forward pass; 0 for what fits in memory, at most 64")] = 0,
    precision: Annotated[Precision, Parameter(help=PRECISION_HELP)] = "auto",
    device: Annotated[str, Parameter(help="auto, cpu, cuda or mps")] = "auto",
    dataset: Annotated[Path | None, Parameter(group=SET, help="folder for a folder of images a class")] = None,
    per_class: Annotated[int | None, Parameter(group=SET, help="images of each class")] = None,
    min_confidence: Annotated[float, Parameter(group=SET, help="least probability by a classifier of the data")] = 0.0,
    min_distance: Annotated[float, Parameter(group=SET, help=DISTANCE_HELP)] = 0.0,
    tries: Annotated[int, Parameter(group=SET, help="tries for each image wanted, before it gives up")] = 20,
    data: Annotated[str | None, Parameter(group=SET, help="real images; by default those of the training")] = None,
) -> None:
    """Draw images: PNG files named by class and seed, one sheet, or a data set that can be trained on."""
    from biggan.latents import LatentLaw
    from biggan.opening import open_model
    from biggan.sampling import save_files, save_image, sheet_of_classes, sheet_of_laws
    from biggan.synthetic import Wish

    if truncation and threshold:
        raise UserError("--truncation and --threshold are two different laws; give one of them")
    if num is not None and num < 1:
        raise UserError(f"--num {num} must be at least 1")
    if batch_size < 0:
        raise UserError(f"--batch-size {batch_size} must be at least 1, or 0 for what fits")
    kind = "truncation" if truncation else "threshold"
    laws = [LatentLaw(kind, value) for value in truncation or threshold or []] or [LatentLaw()]
    if (dataset is None) != (per_class is None):
        raise UserError("a data set of generated images needs both --dataset and --per-class")
    if dataset is not None and (num is not None or sheet or out is not None or len(laws) > 1):
        raise UserError("--dataset takes one truncation, and neither --num nor --sheet nor --out")
    gan = open_model(model, device_to_work_on(device), PlainObserver().message)
    classes = gan.class_indices(class_).tolist() if class_ else None
    if dataset is not None and per_class is not None:
        wish = Wish(per_class, seed, min_confidence, min_distance, tries, precision)
        make_dataset(gan, model, laws[0], wish, dataset, classes, data, batch_size)
        return
    if len(laws) > 1:
        target = target_of(out, model, f"{kind}.png")
        save_image(sheet_of_laws(gan, laws, classes, num or 10, seed, batch_size, precision), target)
    elif sheet:
        target = target_of(out, model, "sheet.png")
        save_image(sheet_of_classes(gan, laws[0], classes, num, seed, batch_size, precision), target)
    else:
        target = out or beside(model, "samples")
        save_files(gan, laws[0], classes, num or 16, seed, batch_size, target, PlainObserver().message, precision)
    print(f"wrote {target}")


def make_dataset(
    gan: "BigGAN", model: Path, law: "LatentLaw", wish: "Wish", out: Path,
    classes: list[int] | None, data: str | None, batch_size: int,
) -> None:  # fmt: skip
    """Fill a folder of class folders, judged by a classifier of the real images where that is asked for."""
    from biggan.evaluation.sides import open_training_images
    from biggan.synthetic import judge_by, make_set

    report, judge = PlainObserver().message, None
    if wish.filters:
        judge = judge_by(gan, open_training_images(gan, data, report), report)
        report(f"the classifier is right for {judge.classifier.accuracy:.1%} of real images that it was not trained on")
    made = make_set(gan, law, wish, out, name=str(model), classes=classes, judge=judge, batch_size=batch_size,
                    report=report)  # fmt: skip
    print(f"wrote {out}: {sum(made['images'].values()):,} images of {len(made['images'])} classes")
    print(f"next: use it as --data {out}")
