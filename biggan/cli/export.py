"""`biggan export`: a generator that runs without this package."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from biggan.cli.app import THRESHOLD_HELP, TRUNCATION_HELP, Model, app, beside


@app.command
def export(
    model: Model,
    /,
    *,
    to: Annotated[Literal["onnx", "torch-export"], Parameter(help="onnx, or torch-export: PyTorch's .pt2")] = "onnx",
    out: Annotated[Path | None, Parameter(help="the file; default: MODEL/generator.onnx or .pt2")] = None,
    truncation: Annotated[float | None, Parameter(help=f"bake the statistics of {TRUNCATION_HELP}")] = None,
    threshold: Annotated[float | None, Parameter(help=f"bake the statistics of {THRESHOLD_HELP}")] = None,
    value_input: Annotated[
        bool, Parameter(help="the law's value is an input, with the model's table of statistics", negative=())
    ] = False,
) -> None:
    """Write G as a graph, ONNX or torch.export, that draws any number of images without this package."""
    from biggan import graph
    from biggan.errors import UserError
    from biggan.latents import latent_law
    from biggan.opening import open_model

    law = latent_law(truncation, threshold)
    if value_input and law.kind == "normal":
        raise UserError("--value-input needs --truncation or --threshold, with a value that the model has")
    target = out or beside(model, f"generator{graph.SUFFIX[to]}")
    found = graph.export(open_model(model, report=print), law, target, to, value_input=value_input)
    print(f"wrote {target} ({target.stat().st_size / 1e6:.1f} MB), within {found:.0e} of the model's pixels in [-1, 1]")
