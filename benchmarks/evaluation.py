"""Do the metrics rank what a person would rank, and what do they cost?

    python benchmarks/evaluation.py ranking [--data FOLDER] [--train 5000] [--test 2000]
    python benchmarks/evaluation.py moments [--images 50000]
    python benchmarks/evaluation.py manifold [--images 10000]

`ranking` measures real test images against real training images, the floor of what any generator can reach, and
then spoilt versions of them, in ImageNet features (EfficientNet-lite0) and in those of the classifier.
`moments` and `manifold` print seconds and the peak of resident memory of FID's statistics of generated images in
batches, and of precision to coverage, at Inception's 2,048 features.
"""

import argparse
import dataclasses
import resource
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from biggan.data import LabelledImages, open_dataset
from biggan.evaluation import cached_classifier
from biggan.evaluation.chunks import Eyes
from biggan.evaluation.measure import measure
from biggan.evaluation.reference import look_at_reference
from biggan.metrics import classifier
from biggan.metrics.efficientnet import EfficientNetLite0
from biggan.metrics.extractor import Extractor, ModuleExtractor
from biggan.metrics.fid import Moments, frechet_distance
from biggan.metrics.per_class import intra_class_fid, per_class
from biggan.metrics.prdc import prdc

Pixels = NDArray[np.uint8]


def blurred(images: Pixels, labels: NDArray[np.int64]) -> tuple[Pixels, NDArray[np.int64]]:
    """A Gaussian blur of radius 1 pixel."""
    soft = [Image.fromarray(image[0]).filter(ImageFilter.GaussianBlur(1)) for image in images]
    return np.stack([np.asarray(image)[None] for image in soft]), labels


def noisy(images: Pixels, labels: NDArray[np.int64]) -> tuple[Pixels, NDArray[np.int64]]:
    """Normal noise of standard deviation 16 gray levels."""
    noise = np.random.default_rng(0).normal(0, 16, images.shape)
    return (images + noise).round().clip(0, 255).astype(np.uint8), labels


def mode_dropped(images: Pixels, labels: NDArray[np.int64]) -> tuple[Pixels, NDArray[np.int64]]:
    """The first half of the classes only, each image twice as often."""
    kept = np.flatnonzero(labels < (labels.max() + 1) // 2)
    rows = np.resize(kept, len(labels))
    return images[rows], labels[rows]


def mislabelled(images: Pixels, labels: NDArray[np.int64]) -> tuple[Pixels, NDArray[np.int64]]:
    """Every fifth label replaced by the next class."""
    wrong = labels.copy()
    wrong[::5] = (wrong[::5] + 1) % (labels.max() + 1)
    return images, wrong


VERSIONS: dict[str, Callable[[Pixels, NDArray[np.int64]], tuple[Pixels, NDArray[np.int64]]]] = {
    "real test images": lambda images, labels: (images, labels),
    "mislabelled": mislabelled,
    "blurred": blurred,
    "noisy": noisy,
    "mode-dropped": mode_dropped,
}


def some(data: LabelledImages, count: int) -> LabelledImages:
    """The first images of a set, which is in no order."""
    fingerprint = f"{data.fingerprint}-first-{count}-{classifier.MOST}"
    return dataclasses.replace(
        data, images=data.images[:count], labels=data.labels[:count], fingerprint=fingerprint
    )


def ranking(folder: str, train_count: int, test_count: int) -> None:
    """A Markdown table for each extractor."""
    train, test = (
        some(open_dataset(folder, resolution=32, channels=1, fit="pad", split=split), count)  # type: ignore[arg-type]
        for split, count in (("train", train_count), ("test", test_count))
    )
    judge = cached_classifier(train, print)
    extractors: list[Extractor] = [judge, ModuleExtractor(EfficientNetLite0())]
    for extractor in extractors:
        began = time.monotonic()
        real = look_at_reference(train, extractor, len(train), print)
        print(f"\n{len(test):,} images against {len(train):,}, in {extractor.name} features\n")
        print("| generated | FID | KID (95 %) | precision | recall | density | coverage | label accuracy | intra FID |")
        print("|---|---|---|---|---|---|---|---|---|")
        for name, version in VERSIONS.items():
            pixels, labels = version(test.images, test.labels)
            y = torch.from_numpy(labels)
            seen = Eyes(extractor, judge)(torch.from_numpy(pixels).split(100))
            m = measure(real, seen, y, len(train))
            rows = per_class(
                real.features, torch.from_numpy(train.labels)[real.rows], seen.features, y, seen.predicted, 10
            )
            intra = intra_class_fid(rows)
            shares = " | ".join(f"{m[k]:.3f}" for k in ("precision", "recall", "density", "coverage", "label_accuracy"))
            kid = f"{m['kid']:.4g} ({m['kid_low']:.3g} to {m['kid_high']:.3g})"
            withheld = "withheld" if intra is None else f"{intra:.1f}"
            print(f"| {name} | {m['fid']:.2f} | {kid} | {shares} | {withheld} |", flush=True)
        print(f"\n{time.monotonic() - began:.0f} s, {torch.get_num_threads()} threads")


def moments(count: int, width: int = 2048) -> None:
    """Statistics of features that arrive in batches of 100, and the distance to another set of moments."""
    generator = torch.Generator().manual_seed(0)
    before, began = peak(), time.monotonic()
    sums, others = Moments.empty(width), Moments.empty(width)
    for start in range(0, count, 100):
        batch = torch.randn(min(100, count - start), width, generator=generator)
        sums.add(batch)
        if start < 5000:
            others.add(batch + 0.1)
    added = time.monotonic() - began
    print(f"moments of {count:,} x {width}: {added:.1f} s, peak {peak():.2f} GB of {before:.2f} GB before")
    began = time.monotonic()
    distance = frechet_distance(sums, others)
    print(f"the distance ({distance:.3f}): {time.monotonic() - began:.1f} s, peak {peak():.2f} GB")


def manifold(count: int, width: int = 2048) -> None:
    """Precision, recall, density and coverage of two sets."""
    generator = torch.Generator().manual_seed(0)
    real, fake = (torch.randn(count, width, generator=generator) for _ in range(2))
    before, began = peak(), time.monotonic()
    found = prdc(real, fake)
    seconds = time.monotonic() - began
    print(f"{count:,} x {count:,} x {width}: {seconds:.1f} s, peak {peak():.2f} GB of {before:.2f} GB before; {found}")


def peak() -> float:
    """The most memory this process has held, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    """One of the three."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["ranking", "moments", "manifold"])
    parser.add_argument("--data", default="/usr/share/datasets/fashion-mnist")
    parser.add_argument("--train", type=int, default=5_000)
    parser.add_argument("--test", type=int, default=2_000)
    parser.add_argument("--classifier-images", type=int, default=60_000, help="shown to the classifier in training")
    parser.add_argument("--images", type=int, default=0)
    given = parser.parse_args()
    if given.what == "ranking":
        classifier.MOST = given.classifier_images
        ranking(given.data, given.train, given.test)
    elif given.what == "moments":
        moments(given.images or 50_000)
    else:
        manifold(given.images or 10_000)


if __name__ == "__main__":
    main()
