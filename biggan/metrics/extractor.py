"""The protocol between images and metrics, and what makes a user's module one that keeps it."""

import hashlib
from collections.abc import Iterable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from biggan.errors import UserError


class Features(NamedTuple):
    """What an extractor sees in N images."""

    features: Tensor        # (N, F) float32, on the CPU
    logits: Tensor          # (N, classes) float32; (N, 0) from an extractor that classifies nothing


class Extractor(Protocol):
    """Anything that turns uint8 images into features and logits."""

    name: str               # stands beside every number
    layer: str              # the name of the layer that gives the features
    fingerprint: str        # of its weights
    resizer: str            # what happens to the size and the range of an image, in words

    def __call__(self, images: Tensor) -> Features:
        """Features of images (N, C, H, W) uint8."""
        ...


class ModuleExtractor:
    """Any `nn.Module` as an extractor, in evaluation mode and on its own device.

    The module is called with images (N, C, H, W) uint8 and returns features (N, F), or features and logits.
    It may say its `name`, `layer`, `resizer` and `fingerprint`; the fingerprint of one that doesn't is the
    hash of its weights.
    """

    def __init__(self, module: nn.Module, name: str = "") -> None:
        self.module = module.eval()
        self.name = str(name or getattr(module, "name", type(module).__name__))
        self.layer = str(getattr(module, "layer", "output"))
        self.resizer = str(getattr(module, "resizer", "the extractor's own"))
        self.fingerprint = str(getattr(module, "fingerprint", "") or weights_fingerprint(module))

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Features:
        """Features and logits of images (N, C, H, W) uint8; UserError unless they are one row an image."""
        held = next(self.module.parameters(), None)
        seen = self.module(images if held is None else images.to(held.device))
        features, logits = seen if isinstance(seen, tuple) else (seen, torch.zeros(len(images), 0))
        for values in (features, logits):
            if not isinstance(values, Tensor) or values.ndim != 2 or len(values) != len(images):
                what = f"shape {tuple(values.shape)}" if isinstance(values, Tensor) else type(values).__name__
                raise UserError(f"the extractor {self.name} gave {what} for {len(images)} images; one row each is due")
        return Features(features.float().cpu(), logits.float().cpu())


def weights_fingerprint(module: nn.Module) -> str:
    """A short hash of a module's parameters and buffers, by name."""
    digest = hashlib.sha256()
    for key, value in sorted(module.state_dict().items()):
        digest.update(f"{key} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def extract(extractor: Extractor, batches: Iterable[Tensor]) -> Features:
    """Features of all batches of uint8 images, concatenated; UserError if one is not finite."""
    seen = [extractor(batch) for batch in batches]
    joined = Features(torch.cat([f.features for f in seen]), torch.cat([f.logits for f in seen]))
    if not (torch.isfinite(joined.features).all() and torch.isfinite(joined.logits).all()):
        raise UserError(f"the extractor {extractor.name} gave features that are not finite (NaN or infinite)")
    return joined
