"""`biggan plan`."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from biggan.cli.app import app
from biggan.cli.train import NO_OVERRIDES, Overrides
from biggan.config import BigGANConfig, TrainConfig
from biggan.errors import UserError
from biggan.presets import PRESETS, Recipe, preset, with_overrides

if TYPE_CHECKING:
    from biggan.plan import Plan

MIB, GIB = 2**20, 2**30


@app.command
def plan(
    name: Annotated[str, Parameter(name="preset", help="a recipe, a YAML file of fields, or a run")],
    /,
    *,
    gpu_memory: Annotated[float | None, Parameter(help="GiB to fit into, by a smaller micro-batch")] = None,
    measure: Annotated[bool, Parameter(help="train one short step here to predict the time")] = True,
    overrides: Annotated[Overrides, Parameter(name="*")] = NO_OVERRIDES,
) -> None:
    """Say what a run will need: parameters, FLOPs and memory by layer, the micro-batch that fits, the hours."""
    flags = {name: value for name, value in dataclasses.asdict(overrides).items() if value is not None}
    network, config = with_overrides(recipe_of(name), flags)
    if gpu_memory is not None and gpu_memory <= 0:
        raise UserError(f"--gpu-memory {gpu_memory:g} must be greater than 0")
    from biggan import plan as planning
    from biggan.training import resolve_bf16, resolve_device

    device = resolve_device(config.device)
    bf16 = resolve_bf16(config.precision, device)
    microbatch = config.microbatch_size or config.batch_size
    if gpu_memory is not None:
        print(f"looking for the micro-batch that fits {gpu_memory:g} GiB; wide networks take a minute", flush=True)
        microbatch = planning.largest_microbatch(network, config, bf16, int(gpu_memory * GIB))
        if microbatch == 0:
            raise UserError(f"--gpu-memory {gpu_memory:g} does not hold a micro-batch of 1; take a narrower network")
    made = planning.plan(network, config, microbatch, bf16)
    show(made, network, config, bf16, planning.resident(made.peak))
    if measure:
        rate = planning.images_per_second(network, config, bf16, device)
        hours = config.images / rate / 3600
        iterations = rate / config.batch_size
        print(f"speed here ({device}, one short step): {rate:,.1f} images/s, {iterations:.3g} iterations/s")
        print(f"the run's {config.images:,} images take {hours:,.1f} hours at that")


def recipe_of(name: str) -> Recipe:
    """A preset, or the complete configuration in a YAML file or a run."""
    path = Path(name) / "config.yaml" if Path(name).is_dir() else Path(name)
    if name in PRESETS or not path.is_file():
        return preset(name)
    from biggan.training import read_yaml

    return with_overrides((BigGANConfig(), TrainConfig()), read_yaml(path))


def show(made: "Plan", network: BigGANConfig, config: TrainConfig, bf16: bool, resident: int) -> None:
    """Print the plan as a table and a few lines."""
    from rich.console import Console
    from rich.table import Table

    table = Table("layer")
    for title in ("parameters", "GFLOP an image", "MiB kept for backward"):
        table.add_column(title, justify="right")
    for row in made.layers:
        table.add_row(row.name, f"{row.parameters:,}", f"{row.flops / 1e9:.3f}", f"{row.kept / 2**20:,.1f}")
    for which in ("G", "D"):
        rows = [row for row in made.layers if row.name.startswith(which)]
        flops, kept = sum(row.flops for row in rows), sum(row.kept for row in rows)
        parameters = sum(row.parameters for row in rows)
        table.add_row(f"{which}, all", f"{parameters:,}", f"{flops / 1e9:.3f}", f"{kept / 2**20:,.1f}", style="bold")
    Console().print(table)
    micro, batch, precision = made.microbatch, config.batch_size, "bf16" if bf16 else "float32"
    print(f"{network.architecture}, {network.resolution} px; micro-batch {micro} of batch {batch}, {precision}")
    print(f"an iteration: {made.flops * batch / 1e12:,.3f} TFLOP, forward and backward")
    print(f"memory: tensors of {made.peak / MIB:,.0f} MiB at once, {made.state / MIB:,.0f} of them weights and such;")
    print(f"on a CPU the process grows by about {resident / MIB:,.0f} MiB, on a GPU leave room for its libraries")
