"""The protocol between images and metrics."""

from collections.abc import Iterable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class Features(NamedTuple):
    """What an extractor sees in N images."""

    features: Tensor        # (N, F) float32
    logits: Tensor          # (N, classes) float32


class Extractor(Protocol):
    """Anything that turns uint8 images into features and logits."""

    name: str               # stands beside every number
    fingerprint: str        # of its weights

    def __call__(self, images: Tensor) -> Features:
        """Features of images (N, C, H, W) uint8."""
        ...


def extract(extractor: Extractor, batches: Iterable[Tensor]) -> Features:
    """Features of all batches of uint8 images, concatenated."""
    seen = [extractor(batch) for batch in batches]
    return Features(torch.cat([f.features for f in seen]), torch.cat([f.logits for f in seen]))
