"""The same numbers class by class: where a model is weak, an average doesn't say."""

from typing import NamedTuple

import torch
from torch import Tensor

from biggan.metrics.fid import fid
from biggan.metrics.prdc import PR_NEAREST, prdc


class ClassNumbers(NamedTuple):
    """One class. None is what too few images don't tell."""

    real: int                       # images
    generated: int
    label_accuracy: float | None    # share of its generated images that the classifier recognises
    fid: float | None               # intra-class FID
    precision: float | None         # in the manifolds of this class alone
    recall: float | None


def per_class(
    real: Tensor, real_labels: Tensor, fake: Tensor, fake_labels: Tensor, predicted: Tensor, num_classes: int
) -> list[ClassNumbers]:
    """The numbers of each class, of features (N, F) and (M, F) with labels; `predicted` is (M,), or (0,) if unknown.

    Intra-class FID is withheld unless both sides have more images of the class than features: with fewer, the
    covariance is singular and the number says how few there are. Precision and recall need PR_NEAREST + 1.
    """
    rows = []
    for label in range(num_classes):
        here = fake_labels == label
        a, b = real[real_labels == label], fake[here]
        fewest = min(len(a), len(b))
        near = prdc(a, b, dc_nearest=PR_NEAREST) if fewest > PR_NEAREST else None
        rows.append(
            ClassNumbers(
                real=len(a),
                generated=len(b),
                label_accuracy=float((predicted[here] == label).double().mean()) if len(predicted) and len(b) else None,
                fid=fid(a, b) if fewest > real.shape[1] else None,
                precision=near.precision if near else None,
                recall=near.recall if near else None,
            )
        )
    return rows


def intra_class_fid(rows: list[ClassNumbers]) -> float | None:
    """The mean of the classes' FIDs; None unless every class has one."""
    values = [row.fid for row in rows if row.fid is not None]
    return sum(values) / len(values) if rows and len(values) == len(rows) else None




def label_accuracy(predicted: Tensor, labels: Tensor) -> float:
    """GAN-test (Shmelkov et al. 2018): the share of generated images (N,) that a classifier of real ones recognises."""
    return float((predicted == labels).to(torch.float64).mean())
