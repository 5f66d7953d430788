"""GAN-train (Shmelkov et al. 2018; the CAS of Ravuri and Vinyals 2019): what generated images teach.

A classifier that learns from generated images alone is tested on real ones. It finds what label accuracy
can't: images that are right and all alike teach little.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from biggan.data import LabelledImages
from biggan.evaluation.drawing import BATCH_SIZE, draw, labels_of
from biggan.latents import LatentLaw
from biggan.metrics.classifier import Classifier, train_classifier
from biggan.model import BigGAN

MOST = 50_000                   # generated images to learn from
SEED_OFFSET = 1_000_000_000     # other images than those that the other metrics measure


def gan_train(
    model: BigGAN, data: LabelledImages, reference: LabelledImages, law: LatentLaw, seed: int,
    report: Callable[[str], None] = lambda line: None,
) -> float:  # fmt: skip
    """Accuracy on the real images of `reference` of a classifier trained on as many images as `data` has."""
    num = min(len(data), MOST)
    y = labels_of(data, "data", num, model.config.num_classes)
    report(f"drawing {num:,} images to train a classifier on")
    images = torch.cat(list(draw(model, y, seed + SEED_OFFSET, law)))
    classifier = train_classifier(images, y, model.config.num_classes, fingerprint="generated", report=report)
    return accuracy(classifier, reference)


def accuracy(classifier: Classifier, reference: LabelledImages) -> float:
    """The share of real images whose label a classifier finds."""
    found = 0
    for start in range(0, len(reference), BATCH_SIZE):
        stop = min(start + BATCH_SIZE, len(reference))
        images = torch.from_numpy(reference.images[start:stop].copy())
        labels: Tensor = torch.from_numpy(reference.labels[start:stop])
        found += int((classifier(images).logits.argmax(dim=1) == labels).sum())
    return found / len(reference)
