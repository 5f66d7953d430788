"""From a model and real images to numbers, with the protocol that makes them comparable."""

import importlib.metadata
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from biggan.data import LabelledImages
from biggan.errors import UserError
from biggan.files import atomic_write, cache_folder
from biggan.latents import LatentLaw
from biggan.metrics import classifier
from biggan.metrics.extractor import extract
from biggan.metrics.fid import fid
from biggan.metrics.inception_score import inception_score
from biggan.metrics.prdc import prdc
from biggan.model import BigGAN
from biggan.sampling import STATISTICS_BATCH_SIZE, STATISTICS_BATCHES, counted, sample

NEAREST_K = 5
IS_SPLITS = 10
MANIFOLD_MAX = 10_000           # real images in precision, recall, density and coverage
BATCH_SIZE = 100


def evaluate(
    model: BigGAN,
    data: LabelledImages,
    *,
    num: int = 10_000,
    seed: int = 0,
    law: LatentLaw | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Draw `num` images with uniform labels and measure them against all of `data`.

    Returns {"protocol": ..., "metrics": {"fid", "is_mean", "is_std", "precision", "recall", "density",
    "coverage", "label_accuracy"}}, all in the features of a classifier trained on `data`. Raises
    UserError if model and data have different classes or `num` is too small to measure.
    """
    law = law or LatentLaw()
    check(model, data, num)
    extractor = cached_classifier(data, report)
    report(f"looking at {len(data):,} real images")
    real = extract(extractor, _batches(data))
    report(f"drawing {num:,} images")
    y = torch.arange(num) % model.config.num_classes
    drawn = sample(model, y, range(seed, seed + num), law, batch_size=BATCH_SIZE)
    fake = extract(extractor, counted(drawn, num, report))
    chosen = np.random.default_rng(0).permutation(len(data))[:MANIFOLD_MAX]
    report("measuring")
    is_mean, is_std = inception_score(fake.logits, IS_SPLITS)
    manifold = prdc(real.features[torch.from_numpy(chosen)], fake.features, NEAREST_K)
    return {
        "protocol": {
            "extractor": extractor.name,
            "extractor_fingerprint": extractor.fingerprint,
            "extractor_held_out_accuracy": extractor.accuracy,
            "reference": data.source,
            "reference_fingerprint": data.fingerprint,
            "reference_split": "train",
            "reference_size": len(data),
            "manifold_size": len(chosen),
            "num": num,
            "labels": "uniform",
            "latent_law": str(law),
            "statistics": describe_statistics(model, law),
            "weights": "ema",
            "images_seen": model.recipe.get("images_seen"),
            "resizer": "none: {} x {}, uint8".format(*model.config.image_shape),
            "nearest_k": NEAREST_K,
            "is_splits": IS_SPLITS,
            "seed": seed,
            "versions": {name: importlib.metadata.version(name) for name in ("biggan-torch", "torch", "torchmetrics")},
        },
        "metrics": {
            "fid": fid(real.features, fake.features),
            "is_mean": is_mean,
            "is_std": is_std,
            **manifold._asdict(),
            "label_accuracy": float((fake.logits.argmax(dim=1) == y).double().mean()),
        },
    }


def describe_statistics(model: BigGAN, law: LatentLaw) -> str:
    """Which batch statistics G uses under a law: what came with the weights, or standing ones."""
    if law.kind == "normal" and "converted_from" in model.recipe:
        return f"as stored in the weights converted from {model.recipe['converted_from']}"
    if model.statistics_for(law) is not None and law not in model.statistics:
        return "from the export's table for this kind of law"
    return f"standing, {STATISTICS_BATCHES} x {STATISTICS_BATCH_SIZE} images of the same law"


def check(model: BigGAN, data: LabelledImages, num: int) -> None:
    """UserError unless the model's classes are the data's and `num` images can be measured."""
    c = model.config
    if len(data.class_names) != c.num_classes:
        counts = f"the model has {c.num_classes} classes and {data.source} has {len(data.class_names)}"
        raise UserError(f"{counts}; give the data it was trained on")
    shape = (c.image_channels, *c.image_shape)
    if data.images.shape[1:] != shape:
        raise UserError(f"{data.source} was opened at {data.images.shape[1:]}, the model draws {shape}")
    least = max(c.num_classes, 2 * IS_SPLITS, NEAREST_K + 1)
    if num < least:
        raise UserError(f"--num {num} is too few to measure; give at least {least}")
    if len(data) <= NEAREST_K:
        raise UserError(f"{data.source} has {len(data)} images; at least {NEAREST_K + 1} are needed")


def cached_classifier(data: LabelledImages, report: Callable[[str], None]) -> classifier.Classifier:
    """The classifier of this data, from the cache or trained now (and then cached)."""
    key = f"{data.fingerprint}-{classifier.VERSION}"
    path = cache_folder() / "classifiers" / f"{key}.safetensors"
    channels, num_classes = data.images.shape[1], len(data.class_names)
    if path.is_file():
        try:
            tensors = load_file(path)
            model = classifier.Classifier(channels, num_classes, key)
            model.accuracy = float(tensors.pop("accuracy"))
            model.load_state_dict(tensors)
            return model.eval()
        except (SafetensorError, KeyError, RuntimeError) as error:
            report(f"{path} is damaged ({error}); training the classifier again")
    report(f"training a classifier on the {len(data):,} real images (once; kept in {path.parent})")
    images, labels = data.batch(np.arange(len(data)))
    model = classifier.train_classifier(images, labels, num_classes, fingerprint=key, report=report)
    with atomic_write(path) as temporary:
        save_file(model.state_dict() | {"accuracy": torch.tensor(model.accuracy, dtype=torch.float64)}, temporary)
    return model.eval()


def _batches(data: LabelledImages) -> Iterator[Tensor]:
    for start in range(0, len(data), BATCH_SIZE):
        yield torch.from_numpy(np.array(data.images[start : start + BATCH_SIZE]))
