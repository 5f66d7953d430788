"""`biggan sample`."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from biggan.cli.app import SEVERAL, THRESHOLD_HELP, TRUNCATION_HELP, app
from biggan.display import PlainObserver
from biggan.errors import UserError

CLASS_HELP = "names or numbers of classes, in turn; by default drawn uniformly, or all on a sheet"
PRECISION_HELP = "auto is bf16 where that is fast and changes pixels by less than 1/255 on average"
Precision = Literal["auto", "bf16", "fp32"]
ROWS_HELP = "; several make a sheet, a row each"


@app.command
def sample(
    model: Annotated[Path, Parameter(help="a run or an export")],
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
) -> None:
    """Draw images: PNG files named by class and seed, or one sheet."""
    from biggan.latents import LatentLaw
    from biggan.model import BigGAN
    from biggan.sampling import save_files, save_image, sheet_of_classes, sheet_of_laws
    from biggan.training import resolve_device

    if truncation and threshold:
        raise UserError("--truncation and --threshold are two different laws; give one of them")
    if num is not None and num < 1:
        raise UserError(f"--num {num} must be at least 1")
    if batch_size < 0:
        raise UserError(f"--batch-size {batch_size} must be at least 1, or 0 for what fits")
    kind = "truncation" if truncation else "threshold"
    laws = [LatentLaw(kind, value) for value in truncation or threshold or []] or [LatentLaw()]
    gan = BigGAN.from_pretrained(model, resolve_device(device))
    classes = gan.class_indices(class_).tolist() if class_ else None
    if len(laws) > 1:
        target = out or model / f"{kind}.png"
        save_image(sheet_of_laws(gan, laws, classes, num or 10, seed, batch_size, precision), target)
    elif sheet:
        target = out or model / "sheet.png"
        save_image(sheet_of_classes(gan, laws[0], classes, num, seed, batch_size, precision), target)
    else:
        target = out or model / "samples"
        save_files(gan, laws[0], classes, num or 16, seed, batch_size, target, PlainObserver().message, precision)
    print(f"wrote {target}")
