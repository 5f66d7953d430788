"""Memorisation: is a generated image nearer to a training image than an image from nowhere would be?

Notable:
- Two questions, two numbers. Against equally many training and held-out images, a generator that remembers
  nothing is nearer to either in half of the cases (`nearer`). And a copy lies nearer to a training image
  than new real images do (`copies`): nearer than all but one in a hundred held-out ones.
- Both are statements in the features of an extractor: a copy that it sees as another image is not found.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from biggan.metrics.prdc import squared_distances

QUANTILE = 0.01                 # of held-out images are this near to a training image, or nearer
DEVIATIONS = 3.0                # a class is flagged so many standard deviations beyond what chance gives


class Neighbours(NamedTuple):
    """The nearest image of a set to each of N features."""

    distance: Tensor        # (N,) float64
    row: Tensor             # (N,) int64


class Memorisation(NamedTuple):
    """What is known of N generated images."""

    train: Neighbours       # among all training images
    held_out: Neighbours    # among all held-out images
    nearer: Tensor          # (N,) bool: nearer to a training image than to a held-out one, of equally many
    copies: Tensor          # (N,) bool: as near to a training image as one held-out image in a hundred
    threshold: float        # the distance below which an image counts as a copy


def nearest(x: Tensor, y: Tensor) -> Neighbours:
    """The nearest of features (M, F) to each of (N, F)."""
    found = [distance.min(dim=1) for _, distance in squared_distances(x.double(), y.double())]
    return Neighbours(torch.cat([d for d, _ in found]).sqrt(), torch.cat([i for _, i in found]))


def memorisation(fake: Tensor, train: Tensor, held_out: Tensor, seed: int = 0) -> Memorisation:
    """Compare features (N, F) of generated images with training (M, F) and held-out (K, F) ones."""
    near, new = nearest(fake, train), nearest(fake, held_out)
    equal = min(len(train), len(held_out))
    random = torch.Generator().manual_seed(seed)
    some_train = train[torch.randperm(len(train), generator=random)[:equal]]
    some_new = held_out[torch.randperm(len(held_out), generator=random)[:equal]]
    to_train = near.distance if equal == len(train) else nearest(fake, some_train).distance
    to_new = new.distance if equal == len(held_out) else nearest(fake, some_new).distance
    threshold = float(nearest(held_out, train).distance.quantile(QUANTILE))
    return Memorisation(near, new, to_train < to_new, near.distance <= threshold, threshold)


def beyond_chance(share: float, expected: float, count: int) -> bool:
    """Whether a share of `count` images is further above the expected one than chance explains."""
    return count > 0 and share > expected + DEVIATIONS * (expected * (1 - expected) / count) ** 0.5
