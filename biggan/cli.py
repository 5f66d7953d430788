"""The command `biggan`: a thin face. Heavy imports stay inside the commands, so `--help` is instant."""

import dataclasses
import json
import os
import sys
import typing
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Group, Parameter

from biggan import __version__
from biggan.config import BigGANConfig, TrainConfig
from biggan.display import PlainObserver, display, show_metrics
from biggan.errors import UserError
from biggan.presets import PRESETS, Recipe, preset, with_overrides

app = App(
    name="biggan",
    help="BigGAN: train, sample and evaluate class-conditional GANs.",
    version=__version__,
    help_format="plaintext",
)

_GROUPS = {BigGANConfig: Group("Networks and optimisation", sort_key=2), TrainConfig: Group("Run", sort_key=1)}


def _override_class() -> Any:
    """A dataclass with every field of both configurations, each optional: what flags may change."""
    fields: list[Any] = []
    for kind in (TrainConfig, BigGANConfig):
        hints = typing.get_type_hints(kind)
        for f in dataclasses.fields(kind):
            name = "--" + f.name.replace("_", "-")
            parameter = Parameter(
                name=name,
                help=f.metadata["help"],
                group=_GROUPS[kind],
                consume_multiple=True,
                negative_iterable="no-",
                show_default=False,
            )
            fields.append((f.name, Annotated[hints[f.name] | None, parameter], None))
    made = dataclasses.make_dataclass("Overrides", fields, frozen=True)
    made.__module__ = __name__          # cyclopts takes classes of the module `types` for built-in ones
    return made


if typing.TYPE_CHECKING:
    Overrides = Any
else:
    Overrides = _override_class()
_NO_OVERRIDES = Overrides()


@app.command
def train(
    name: Annotated[str, Parameter(name="preset", help="a recipe; `biggan presets` lists them")],
    /,
    *,
    out: Annotated[Path | None, Parameter(help="folder of the run; the same command again resumes it")] = None,
    config: Annotated[Path | None, Parameter(help="YAML file of fields, over the preset and under the flags")] = None,
    steps: Annotated[int | None, Parameter(help="length in generator steps: sugar for --images")] = None,
    dry_run: Annotated[bool, Parameter(help="print the resolved configuration and stop", negative=())] = False,
    overrides: Annotated[Overrides, Parameter(name="*")] = _NO_OVERRIDES,
) -> None:
    """Train a preset on a data set, or continue where the same command stopped."""
    flags = {name: value for name, value in dataclasses.asdict(overrides).items() if value is not None}
    if steps is not None:
        flags["steps"] = steps
    from biggan import distributed
    from biggan.data import open_dataset
    from biggan.training import dump_yaml, read_yaml, resolve_device
    from biggan.training import train as run_training

    in_file = read_yaml(config) if config else {}
    if "steps" in flags:
        in_file.pop("images", None)
    elif "images" in flags:
        in_file.pop("steps", None)
    network, run_config = fit_to_data(with_overrides(preset(name), in_file | flags), in_file | flags)
    run = out or Path("runs") / name
    if dry_run:
        print(dump_yaml(network, run_config), end="")
        return
    with distributed.process_group(resolve_device(run_config.device)), display() as observer:
        if distributed.is_first():
            print(dump_yaml(network, run_config), end="")
        data = open_dataset(
            run_config.data,
            resolution=network.resolution,
            channels=network.image_channels,
            fit=run_config.fit,
            report=observer.message,
        )
        if run_config.class_names:
            data = data.renamed(run_config.class_names)
        complete = run_training(network, run_config, data, run, observer)
        if complete:
            done = f"complete: {run}. Look at {run / 'previews'}"
            observer.message(f"{done}; then biggan sample {run} --sheet, biggan evaluate {run}")
        else:
            observer.message(f"stopped and saved: {run}. The same command again continues it")


def fit_to_data(recipe: Recipe, given: dict[str, Any]) -> Recipe:
    """The recipe with the data's number of classes; UserError where the data can't be trained on."""
    from biggan.data import peek

    network, config = recipe
    contents = peek(config.data)
    classes = len(contents.class_names)
    if given.get("num_classes", classes) != classes:
        raise UserError(
            f"--num-classes {given['num_classes']} but {config.data} has {classes} classes; leave the flag out"
        )
    if classes < 2:
        raise UserError(
            f"{config.data} has one class, {contents.class_names[0]!r}; a class-conditional model needs at least two. "
            "Put each class into a sub-folder of its own"
        )
    if config.class_names and len(config.class_names) != classes:
        raise UserError(f"--class-names has {len(config.class_names)} names but {config.data} has {classes} classes")
    if config.batch_size > contents.images:
        raise UserError(f"--batch-size {config.batch_size} is more than the {contents.images} images of {config.data}")
    return dataclasses.replace(network, num_classes=classes), config


_SEVERAL = Parameter(consume_multiple=True, negative=())
_CLASS_HELP = "names or numbers of classes, in turn; by default drawn uniformly, or all on a sheet"
_TRUNCATION_HELP = "z from T x N(0, 1) cut at 2 (TF-Hub's law)"
_THRESHOLD_HELP = "z from N(0, 1) cut at T (the paper's law)"
_ROWS_HELP = "; several make a sheet, a row each"


@app.command
def sample(
    model: Annotated[Path, Parameter(help="a run or an export")],
    /,
    *,
    class_: Annotated[list[str] | None, _SEVERAL, Parameter(name="--class", help=_CLASS_HELP)] = None,
    num: Annotated[int | None, Parameter(help="images in all; by default 16, or 10 a class on a sheet")] = None,
    truncation: Annotated[list[float] | None, _SEVERAL, Parameter(help=_TRUNCATION_HELP + _ROWS_HELP)] = None,
    threshold: Annotated[list[float] | None, _SEVERAL, Parameter(help=_THRESHOLD_HELP + _ROWS_HELP)] = None,
    seed: Annotated[int, Parameter(help="image k has seed + k")] = 0,
    out: Annotated[Path | None, Parameter(help="folder for PNG files, or the sheet's file")] = None,
    sheet: Annotated[bool, Parameter(help="one picture, a row a class, instead of files", negative=())] = False,
    batch_size: Annotated[int, Parameter(help="images a forward pass; changes nothing but speed and memory")] = 64,
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
    kind = "truncation" if truncation else "threshold"
    laws = [LatentLaw(kind, value) for value in truncation or threshold or []] or [LatentLaw()]
    gan = BigGAN.from_pretrained(model, resolve_device(device))
    classes = gan.class_indices(class_).tolist() if class_ else None
    if len(laws) > 1:
        target = out or model / f"{kind}.png"
        save_image(sheet_of_laws(gan, laws, classes, num or 10, seed, batch_size), target)
    elif sheet:
        target = out or model / "sheet.png"
        save_image(sheet_of_classes(gan, laws[0], classes, num, seed, batch_size), target)
    else:
        target = out or model / "samples"
        save_files(gan, laws[0], classes, num or 16, seed, batch_size, target, PlainObserver().message)
    print(f"wrote {target}")


@app.command
def evaluate(
    model: Annotated[Path, Parameter(help="a run or an export")],
    /,
    *,
    data: Annotated[str | None, Parameter(help="real images; by default those the model was trained on")] = None,
    num: Annotated[int, Parameter(help="generated images")] = 10_000,
    truncation: Annotated[float | None, Parameter(help=_TRUNCATION_HELP)] = None,
    threshold: Annotated[float | None, Parameter(help=_THRESHOLD_HELP)] = None,
    seed: Annotated[int, Parameter(help="image k has seed + k")] = 0,
    out: Annotated[Path | None, Parameter(help="file for the numbers; default: MODEL/metrics.json")] = None,
    device: Annotated[str, Parameter(help="auto, cpu, cuda or mps")] = "auto",
) -> None:
    """Measure FID, IS, precision, recall, density, coverage and label accuracy against real images."""
    from biggan.data import open_dataset
    from biggan.evaluation import evaluate as run_evaluation
    from biggan.files import write_text
    from biggan.latents import latent_law
    from biggan.model import BigGAN
    from biggan.training import resolve_device

    law = latent_law(truncation, threshold)
    gan = BigGAN.from_pretrained(model, resolve_device(device))
    source = data or gan.recipe.get("data")
    if not source:
        raise UserError(f"{model} does not say what it was trained on; give --data")
    with display() as observer:
        real = open_dataset(
            source,
            resolution=gan.config.resolution,
            channels=gan.config.image_channels,
            fit=gan.recipe.get("fit", "crop"),
            report=observer.message,
        )
        result = run_evaluation(gan, real, num=num, seed=seed, law=law, report=observer.message)
    target = out or model / "metrics.json"
    write_text(target, json.dumps(result, indent=2) + "\n")
    show_metrics(result)
    print(f"wrote {target}")


@app.command
def presets() -> None:
    """List the recipes."""
    for name, function in PRESETS.items():
        network, config = function()
        print(f"{name:15s} {network.resolution:4d} px  batch {config.batch_size:5d}  {function.__doc__}")


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
    truncation: Annotated[list[float] | None, _SEVERAL, Parameter(help=_TRUNCATION_HELP)] = None,
    threshold: Annotated[list[float] | None, _SEVERAL, Parameter(help=_THRESHOLD_HELP)] = None,
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


# ---- the process ------------------------------------------------------------------------------------


def main() -> None:
    """Run the command line; a user's mistake ends with one line on stderr and exit code 2."""
    try:
        app(exit_on_error=False, print_error=False)
    except (UserError, CycloptsError) as error:
        fail(f"biggan: error: {' '.join(str(error).split())}")
    except OSError as error:            # a full disk, a folder that may not be written: its text names the file
        fail(f"biggan: error: {error}")
    except KeyboardInterrupt:
        fail("biggan: interrupted", code=130)
    except Exception:
        if speaks():
            raise
        sys.exit(1)


def fail(line: str, code: int = 2) -> typing.NoReturn:
    """End with one line on stderr, from whichever process fails first."""
    if speaks():
        print(line, file=sys.stderr)
    sys.exit(code)


def speaks() -> bool:
    """Whether this process reports a failure: of several only the first that fails."""
    if "torch" not in sys.modules:      # a wrong flag, which all of them saw
        return os.environ.get("RANK", "0") == "0"
    from biggan import distributed

    return distributed.first_to_fail()
