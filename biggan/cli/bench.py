"""`biggan bench`."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from biggan.cli.app import app
from biggan.cli.plan import recipe_of
from biggan.cli.train import NO_OVERRIDES, Overrides
from biggan.errors import UserError
from biggan.presets import with_overrides

if TYPE_CHECKING:
    from biggan.bench import Speed


@app.command
def bench(
    name: Annotated[str, Parameter(name="preset", help="a recipe, a YAML file of fields, or a run")] = "digits",
    /,
    *,
    images: Annotated[int, Parameter(help="images of a sampled batch")] = 16,
    overrides: Annotated[Overrides, Parameter(name="*")] = NO_OVERRIDES,
) -> None:
    """Measure training, sampling and data loading here, against a matrix product's FLOP/s."""
    flags = {field: value for field, value in dataclasses.asdict(overrides).items() if value is not None}
    network, config = with_overrides(recipe_of(name), flags)
    if images < 1:
        raise UserError(f"--images {images} must be at least 1")
    from biggan import bench as benches
    from biggan.data import open_dataset
    from biggan.training import resolve_bf16, resolve_device

    device = resolve_device(config.device)
    bf16 = resolve_bf16(config.precision, device)
    print(benches.hardware(device), flush=True)
    print(f"{name}: {network.architecture}, {network.resolution} px, {'bf16' if bf16 else 'float32'}", flush=True)
    show(benches.training(network, config, device, bf16))
    show(benches.sampling(network, device, images))
    if config.data == "digits" or (config.data and Path(config.data).exists()):
        data = open_dataset(
            config.data, resolution=network.image_shape, channels=network.image_channels, fit=config.fit
        )
        show(benches.loading(network, config, data, device))
    else:
        print("loading: give --data FOLDER to measure it")


def show(speed: "Speed") -> None:
    """Print one line."""
    line = f"{speed.what:22s} {speed.images:10,.1f} images/s"
    if speed.flops:
        part = speed.flops / speed.ceiling
        line += f"  {speed.flops / 1e9:8,.0f} GFLOP/s, {part:.0%} of a matrix product's {speed.ceiling / 1e9:,.0f}"
    print(line, flush=True)
