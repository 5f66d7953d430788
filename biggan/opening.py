"""Opening a model by its path, whichever artefact lies there: a run, an export or one checkpoint of a run."""

from collections.abc import Callable
from pathlib import Path

import torch

from biggan.config import BigGANConfig, from_mapping
from biggan.errors import UserError
from biggan.model import BigGAN, check_tensors, load_tensors, read_config
from biggan.progress import Progress
from biggan.sampling import STATISTICS_BATCHES, standing_statistics


def open_model(
    path: str | Path, device: str | torch.device = "cpu", report: Callable[[str], None] = lambda line: None
) -> BigGAN:
    """A model in evaluation mode. Raises UserError if there is none at the path or it is damaged.

    `report` hears how long the opening of a checkpoint takes, where it takes long.
    """
    path = Path(path)
    return checkpoint_model(path, device, report) if path.is_file() else BigGAN.from_pretrained(path, device)


def checkpoint_model(path: Path, device: str | torch.device, report: Callable[[str], None]) -> BigGAN:
    """The EMA generator of RUN/checkpoints/*.safetensors.

    Configuration and class names are those of RUN/export. A checkpoint has no batch statistics of its own
    for the EMA, so they are measured here, as they were for the export: 16 passes of 64 images.
    """
    export = path.parent.parent / "export" / "config.json"
    try:
        content = read_config(export)
    except UserError as error:
        line = f"{path} is not a checkpoint in a run's folder, with the run's export beside it ({export})"
        raise UserError(line) from error
    config = from_mapping(BigGANConfig, content["config"])
    names, recipe = content["class_names"], dict(content.get("recipe") or {})
    prefix = "G_ema."
    tensors = {key.removeprefix(prefix): t for key, t in load_tensors(path, device, prefix).items()}
    with torch.device("meta"):
        model = BigGAN(config, names, recipe=recipe)
    check_tensors(model.G, tensors, str(path))
    model.G.load_state_dict(tensors, assign=True)
    model.eval()
    progress = Progress(f"batch statistics of {path.name}:", STATISTICS_BATCHES, report, unit="passes")
    seed = int(recipe.get("seed", 0))
    standing_statistics(model.G, config.num_classes, config.z_dim, seed=seed, after_pass=lambda: progress.advance(1))
    return model
