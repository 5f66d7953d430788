"""`biggan convert` and `biggan statistics`: other code's weights, and batch statistics for ours."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from biggan.cli.app import SEVERAL, THRESHOLD_HELP, TRUNCATION_HELP, app
from biggan.errors import UserError


@app.command
def convert(
    family: Annotated[str, Parameter(help="ajbrock, huggingface or studiogan; with --to the run or export to convert")],
    source: Annotated[Path | None, Parameter(help="a folder as that code leaves it, or its generator's file")] = None,
    /,
    *,
    out: Annotated[Path, Parameter(help="folder for the result")],
    to: Annotated[str | None, Parameter(help="convert a run or export to a family's files: ajbrock")] = None,
    discriminator: Annotated[Path | None, Parameter(help="the discriminator's file, where it is elsewhere")] = None,
    class_names: Annotated[Path | None, Parameter(help="text file with a class name a line")] = None,
    bn_eps: Annotated[float | None, Parameter(help="epsilon of batch norm; 1e-4 for ports of TF-Hub's models")] = None,
    sn_eps: Annotated[float | None, Parameter(help="epsilon of spectral norm; 1e-4 for ports of TF-Hub's")] = None,
    power_iterations: Annotated[int | None, Parameter(help="ajbrock's --num_G_SV_itrs")] = None,
    resolution: Annotated[int | None, Parameter(help="of the images, where the weights cannot tell it")] = None,
) -> None:
    """Turn other code's weights into an export, or an export into other code's weights."""
    from biggan.convert import files
    from biggan.model import BigGAN

    names = {"bn_eps": bn_eps, "sn_eps": sn_eps, "power_iterations": power_iterations, "resolution": resolution}
    options = {name: value for name, value in names.items() if value is not None}
    if to is not None:
        if to != "ajbrock":
            raise UserError(f"--to {to} is unknown; exports convert to ajbrock")
        if source is not None or options or discriminator or class_names:
            raise UserError("--to takes a run or export and --out, nothing else")
        written = files.write_ajbrock(BigGAN.from_pretrained(family), out)
        print(f"wrote {', '.join(map(str, written))}")
        return
    if source is None:
        raise UserError("give a family and its files: biggan convert {ajbrock,huggingface,studiogan} SRC --out DIR")
    if power_iterations is not None and family == "studiogan":
        raise UserError("--power-iterations is for ajbrock")
    model = files.convert(family, source, discriminator, **options)
    if class_names:
        model.rename_classes(files.read_class_names(class_names))
    model.save_pretrained(out)
    c = model.config
    both = "G and D" if model.D is not None else "G"
    print(f"wrote {out}: {c.architecture}, {c.resolution} px, {c.num_classes} classes, {both}")
    print(f"next: biggan sample {out} --class {model.class_names[0]}")


@app.command
def statistics(
    model: Annotated[Path, Parameter(help="a run or an export")],
    /,
    *,
    out: Annotated[Path, Parameter(help="folder for the export that carries them")],
    truncation: Annotated[list[float] | None, SEVERAL, Parameter(help=TRUNCATION_HELP)] = None,
    threshold: Annotated[list[float] | None, SEVERAL, Parameter(help=THRESHOLD_HELP)] = None,
    batches: Annotated[int, Parameter(help="forward passes of 64 images for each")] = 16,
    device: Annotated[str, Parameter(help="auto, cpu, cuda or mps")] = "auto",
) -> None:
    """Measure batch statistics at truncations and keep them in an export, as TF-Hub's models have them."""
    from biggan.latents import LatentLaw
    from biggan.model import BigGAN
    from biggan.sampling import add_statistics
    from biggan.training import resolve_device

    laws = [LatentLaw("truncation", value) for value in truncation or []]
    laws += [LatentLaw("threshold", value) for value in threshold or []]
    if not laws:
        raise UserError("give the values to measure at, such as --truncation 0.25 0.5 0.75 1")
    if batches < 1:
        raise UserError(f"--batches {batches} must be at least 1")
    gan = BigGAN.from_pretrained(model, resolve_device(device))
    add_statistics(gan, laws, batches=batches)
    gan.save_pretrained(out)
    print(f"wrote {out} with batch statistics at {', '.join(map(str, laws))}")
