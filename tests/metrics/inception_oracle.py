"""torch-fidelity's Inception network at seeded random weights, and what it made of three images.

    pip install --no-deps torch-fidelity      # in an environment with tqdm; torchvision is not needed for this file
    python tests/metrics/inception_oracle.py  # writes inception_recorded.json beside this file

torch-fidelity can't be a development dependency, because it drags torchvision in. Its network alone imports
nothing of it, so the class is imported past the package's `__init__` where somebody has installed it.
"""

import importlib.util
import json
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from biggan.metrics.inception import Inception

RECORDED = Path(__file__).parent / "inception_recorded.json"
LAYERS = {"64": "64", "192": "192", "768": "768", "pool3": "2048", "logits": "logits_unbiased"}    # ours: theirs
SHOWN = 12                      # features recorded of each layer and image, spread over all


def random_weights(seed: int = 0) -> dict[str, Tensor]:
    """Weights that neither die nor explode, in the layout of the standard file."""
    generator = torch.Generator().manual_seed(seed)
    weights = Inception().state_dict()
    for key, value in weights.items():
        if key.endswith(("running_var", "bn.weight")):
            value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
        elif value.ndim > 1:
            value.copy_(torch.randn(value.shape, generator=generator) * (2 / value[0].numel()) ** 0.5)
        elif value.is_floating_point():
            value.copy_(torch.randn(value.shape, generator=generator) * 0.1)
    return weights


def images(size: tuple[int, int] = (32, 40)) -> Tensor:
    """Three images of noise, uint8."""
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (3, 3, *size), generator=generator).to(torch.uint8)


def available() -> bool:
    """Whether torch-fidelity lies on the path; its package is not imported."""
    return "torch_fidelity" in sys.modules or importlib.util.find_spec("torch_fidelity") is not None


def import_theirs(module: str) -> Any:
    """A module of torch-fidelity, without running its package's __init__, which wants torchvision."""
    if "torch_fidelity" not in sys.modules:
        spec = importlib.util.find_spec("torch_fidelity")
        assert spec is not None and spec.submodule_search_locations is not None
        package = types.ModuleType("torch_fidelity")
        package.__path__ = list(spec.submodule_search_locations)
        sys.modules["torch_fidelity"] = package
    return importlib.import_module(f"torch_fidelity.{module}")


def theirs(weights: dict[str, Tensor], x: Tensor) -> dict[str, Tensor]:
    """Their features and logits by our names of the layers."""
    with tempfile.NamedTemporaryFile(suffix=".pth") as file:
        torch.save(weights, file.name)
        network = import_theirs("feature_extractor_inceptionv3").FeatureExtractorInceptionV3(
            "oracle", list(LAYERS.values()), feature_extractor_weights_path=file.name
        )
    return dict(zip(LAYERS, network(x), strict=True))


def spread(values: Tensor) -> list[list[float]]:
    """A few of the columns of (N, F)."""
    return values[:, :: max(1, values.shape[1] // SHOWN)][:, :SHOWN].tolist()


if __name__ == "__main__":
    seen = theirs(random_weights(), images())
    record = {name: spread(values) for name, values in seen.items()}
    RECORDED.write_text(json.dumps({"how": "python tests/metrics/inception_oracle.py, torch-fidelity 0.4.0"} | record))
