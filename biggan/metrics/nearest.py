"""Memorisation: is a generated image nearer to a training image than an image from nowhere would be?

Notable:
- Two questions, two numbers. Against equally many training and held-out images, a generator that remembers
  nothing is nearer to either in half of the cases (`nearer`). And a copy lies nearer to a training image
  than new real images do (`copies`): nearer than all but one in a hundred held-out ones.
- Generated images that share a neighbour are one piece of evidence, not many: what chance explains is judged by how
  many neighbours there really are.
- Both are statements in the features of an extractor: a copy that it sees as another image is not found.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from biggan.metrics.prdc import squared_distances

QUANTILE = 0.01                 # of held-out images are this near to a training image, or nearer
DEVIATIONS = 3.0                # a class is flagged so many standard deviations beyond what chance gives


class Neighbours(NamedTuple):
    """The nearest image of a set to each of N features, or the k nearest."""

    distance: Tensor        # (N,) or (N, k) float64
    row: Tensor             # (N,) or (N, k) int64


class Memorisation(NamedTuple):
    """What is known of N generated images."""

    train: Neighbours       # among all training images
    held_out: Neighbours    # among all held-out images
    nearer: Tensor          # (N,) bool: nearer to a training image than to a held-out one, of equally many
    copies: Tensor          # (N,) bool: as near to a training image as one held-out image in a hundred
    threshold: float        # the distance up to which an image counts as a copy
    winner: Tensor          # (N,) int64: a number for the nearest image of both sets, of equally many


def nearest(x: Tensor, y: Tensor) -> Neighbours:
    """The nearest of features (M, F) to each of (N, F)."""
    found = [distance.min(dim=1) for _, distance in squared_distances(x.double(), y.double())]
    return Neighbours(torch.cat([d for d, _ in found]).sqrt(), torch.cat([i for _, i in found]))


def neighbours(x: Tensor, y: Tensor, k: int) -> Neighbours:
    """The k nearest of features (M, F) to each of (N, F), the nearest first; k at most M."""
    found = [distance.topk(k, dim=1, largest=False) for _, distance in squared_distances(x.double(), y.double())]
    return Neighbours(torch.cat([d for d, _ in found]).sqrt(), torch.cat([i for _, i in found]))


def memorisation(fake: Tensor, train: Tensor, held_out: Tensor, seed: int = 0) -> Memorisation:
    """Compare features (N, F) of generated images with training (M, F) and held-out (K, F) ones."""
    near, new = nearest(fake, train), nearest(fake, held_out)
    equal = min(len(train), len(held_out))
    random = torch.Generator().manual_seed(seed)
    a = nearest(fake, train[torch.randperm(len(train), generator=random)[:equal]])
    b = nearest(fake, held_out[torch.randperm(len(held_out), generator=random)[:equal]])
    nearer = a.distance < b.distance
    threshold = float(nearest(held_out, train).distance.quantile(QUANTILE))
    winner = torch.where(nearer, a.row, equal + b.row)
    return Memorisation(near, new, nearer, near.distance <= threshold, threshold, winner)


def beyond_chance(share: float, expected: float, neighbours: Tensor) -> bool:
    """Whether a share of N images is further above the expected one than chance explains.

    `neighbours` (N,) says which image is the nearest to each. If an image is a training image by the toss of a
    coin, all w of those it is nearest to fall together: the variance is p (1 - p) sum(w^2) / N^2.
    """
    if not len(neighbours):
        return False
    weights = neighbours.unique(return_counts=True)[1].double()
    variance = expected * (1 - expected) * float(weights.square().sum()) / len(neighbours) ** 2
    return share > expected + DEVIATIONS * variance**0.5
