"""BigGAN (Brock, Donahue and Simonyan, 2019): train, sample and evaluate class-conditional GANs.

    from biggan import BigGAN, BigGANConfig

Names are imported on first use, so that `biggan --help` does not wait for PyTorch.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from biggan.config import BigGANConfig, TrainConfig
    from biggan.errors import UserError
    from biggan.latents import LatentLaw
    from biggan.model import BigGAN
    from biggan.presets import preset

__all__ = ["BigGAN", "BigGANConfig", "LatentLaw", "TrainConfig", "UserError", "preset"]
__version__ = "0.1.0"

_HOMES = {
    "BigGAN": "model",
    "BigGANConfig": "config",
    "LatentLaw": "latents",
    "TrainConfig": "config",
    "UserError": "errors",
    "preset": "presets",
}


def __getattr__(name: str) -> object:
    if name not in {*_HOMES, "convert"}:
        raise AttributeError(f"module 'biggan' has no attribute {name!r}")
    import importlib

    if name == "convert":
        return importlib.import_module("biggan.convert")
    return getattr(importlib.import_module(f"biggan.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
