"""`biggan train` and `biggan presets`."""

import dataclasses
import typing
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter

from biggan.cli.app import app
from biggan.config import BigGANConfig, TrainConfig
from biggan.display import display
from biggan.errors import UserError
from biggan.presets import PRESETS, Recipe, preset, with_overrides

GROUPS = {BigGANConfig: Group("Networks and optimisation", sort_key=2), TrainConfig: Group("Run", sort_key=1)}


def override_class() -> Any:
    """A dataclass with every field of both configurations, each optional: what flags may change."""
    fields: list[Any] = []
    for kind in (TrainConfig, BigGANConfig):
        hints = typing.get_type_hints(kind)
        for f in dataclasses.fields(kind):
            name = "--" + f.name.replace("_", "-")
            parameter = Parameter(
                name=name,
                help=f.metadata["help"],
                group=GROUPS[kind],
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
    Overrides = override_class()
NO_OVERRIDES = Overrides()
PRESET_HELP = (
    "a recipe; `biggan presets` lists them. auto chooses one for the data and this machine. "
    "With --init or --config it may be left out"
)


@app.command
def train(
    name: Annotated[str | None, Parameter(name="preset", help=PRESET_HELP)] = None,
    /,
    *,
    out: Annotated[Path | None, Parameter(help="folder of the run; the same command again resumes it")] = None,
    config: Annotated[Path | None, Parameter(help="YAML file of fields, over the preset and under the flags")] = None,
    steps: Annotated[int | None, Parameter(help="length in generator steps: sugar for --images")] = None,
    minutes: Annotated[float | None, Parameter(help="auto: about how long the run may take")] = None,
    dry_run: Annotated[bool, Parameter(help="print the resolved configuration and stop", negative=())] = False,
    overrides: Annotated[Overrides, Parameter(name="*")] = NO_OVERRIDES,
) -> None:
    """Train a preset on a data set, fine-tune weights, or continue where the same command stopped."""
    flags = {name: value for name, value in dataclasses.asdict(overrides).items() if value is not None}
    if steps is not None:
        flags["steps"] = steps
    from biggan import distributed
    from biggan.data import open_dataset, peek
    from biggan.files import write_text
    from biggan.training import dump_yaml, read_yaml, resolve_device
    from biggan.training import train as run_training

    in_file = read_yaml(config) if config else {}
    if "steps" in flags:
        in_file.pop("images", None)
    elif "images" in flags:
        in_file.pop("steps", None)
    given = in_file | flags
    run = out or Path("runs") / (name or ("finetuned" if given.get("init") else "mine"))
    if minutes is not None and (name != "auto" or given.keys() & {"steps", "images"}):
        raise UserError("--minutes is for train auto, without --steps and --images")
    base, reasons = base_recipe(name, given, run, minutes, whole=config is not None)
    network, run_config = fit_to_data(with_overrides(base, given), given)
    for reason in reasons:
        print(f"# {reason}", flush=True)
    if dry_run:
        print(dump_yaml(network, run_config), end="")
        return
    with distributed.process_group(resolve_device(run_config.device)), display() as observer:
        if distributed.is_first():
            print(dump_yaml(network, run_config), end="")
        for finding in peek(run_config.data, run_config.batch_size).findings:
            observer.message(f"data: {finding.line}")
        data = open_dataset(
            run_config.data,
            resolution=network.image_shape,
            channels=network.image_channels,
            fit=run_config.fit,
            report=observer.message,
        )
        if run_config.class_names:
            data = data.renamed(run_config.class_names)
        if reasons and distributed.is_first():
            write_text(run / "auto.txt", "".join(f"{reason}\n" for reason in reasons))
        complete = run_training(network, run_config, data, run, observer)
        if complete:
            done = f"complete: {run}. Look at {run / 'previews'}"
            observer.message(f"{done}; then biggan sample {run} --sheet, biggan evaluate {run}")
        else:
            observer.message(f"stopped and saved: {run}. The same command again continues it")


def base_recipe(
    name: str | None, given: dict[str, Any], run: Path, minutes: float | None, whole: bool
) -> tuple[Recipe, tuple[str, ...]]:
    """What flags and --config change, and for `auto` why it was chosen.

    A preset; what `auto` chooses; the networks of --init with a preset's or their own way of training; or, under
    a --config without a preset, the defaults. A run of the middle two that has begun stays as it is.
    """
    init = str(given.get("init") or "")
    if (name == "auto" or init) and (run / "config.yaml").is_file():
        from biggan.training import read_yaml

        if minutes is not None:
            print(f"# {run} has begun: what was chosen then stays; --images makes it longer")
        return with_overrides((BigGANConfig(), TrainConfig()), read_yaml(run / "config.yaml")), ()
    if name == "auto":
        from biggan.auto import recipe_for

        choice = recipe_for(given, minutes)
        return choice.recipe, choice.reasons
    if init:
        from biggan.finetuning import recipe_from

        return recipe_from(init, preset(name) if name else None), ()
    if name:
        return preset(name), ()
    if whole:
        return (BigGANConfig(), TrainConfig(data="")), ()
    raise UserError(f"give a preset (auto, {', '.join(PRESETS)}), --init with weights, or --config with a whole recipe")


def fit_to_data(recipe: Recipe, given: dict[str, Any]) -> Recipe:
    """The recipe with the data's number of classes; UserError where the data can't be trained on."""
    from biggan.data import peek, refuse

    network, config = recipe
    contents = peek(config.data, config.batch_size)
    classes = len(contents.class_names)
    if given.get("num_classes", classes) != classes:
        raise UserError(
            f"--num-classes {given['num_classes']} but {config.data} has {classes} classes; leave the flag out"
        )
    refuse(contents.findings)
    if config.class_names and len(config.class_names) != classes:
        raise UserError(f"--class-names has {len(config.class_names)} names but {config.data} has {classes} classes")
    if config.batch_size > contents.images:
        raise UserError(f"--batch-size {config.batch_size} is more than the {contents.images} images of {config.data}")
    return dataclasses.replace(network, num_classes=classes), config


@app.command
def presets() -> None:
    """List the recipes."""
    print(f"{'auto':15s}    any size        any  Chosen for your data, this machine and --minutes.")
    for name, function in PRESETS.items():
        network, config = function()
        print(f"{name:15s} {network.resolution:4d} px  batch {config.batch_size:5d}  {function.__doc__}")
