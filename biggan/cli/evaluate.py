"""`biggan evaluate`."""

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from biggan.cli.app import THRESHOLD_HELP, TRUNCATION_HELP, app
from biggan.display import display, show_metrics
from biggan.errors import UserError


@app.command
def evaluate(
    model: Annotated[Path, Parameter(help="a run or an export")],
    /,
    *,
    data: Annotated[str | None, Parameter(help="real images; by default those the model was trained on")] = None,
    num: Annotated[int, Parameter(help="generated images")] = 10_000,
    truncation: Annotated[float | None, Parameter(help=TRUNCATION_HELP)] = None,
    threshold: Annotated[float | None, Parameter(help=THRESHOLD_HELP)] = None,
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
            resolution=gan.config.image_shape,
            channels=gan.config.image_channels,
            fit=gan.recipe.get("fit", "crop"),
            report=observer.message,
        )
        result = run_evaluation(gan, real, num=num, seed=seed, law=law, report=observer.message)
    target = out or model / "metrics.json"
    write_text(target, json.dumps(result, indent=2) + "\n")
    show_metrics(result)
    print(f"wrote {target}")
