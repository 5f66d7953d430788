"""Is a model better than the prototypes that were measured before this code was written, in their protocol?

    python benchmarks/prototypes.py fashion             # or a run, an export, a checkpoint of a run

EfficientNet-lite0's features at 64 px; 5,000 generated images, and 5,000 real test images as the floor, against real
training images: 10,000 for FID, 5,000 for precision, recall, density and coverage. Precision and recall by k = 5, as
theirs, and by k = 3, as `biggan evaluate` has them. Fewer images than `biggan evaluate` takes: FIDs are higher.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor

from biggan.evaluation.drawing import draw, labels_of
from biggan.evaluation.sides import open_held_out, open_training_images
from biggan.latents import LatentLaw
from biggan.metrics.efficientnet import EfficientNetLite0
from biggan.metrics.fid import Moments, frechet_distance
from biggan.metrics.prdc import prdc
from biggan.opening import open_model

NUM, REAL, BATCH = 5_000, 10_000, 100
PROTOTYPES = {                      # precision, recall, coverage, FID
    "reference implementation, 4e-4 for both, 18 minutes": (0.71, 0.06, 0.26, 551),
    "prototype, 4e-4 for both, 18 minutes": (0.83, 0.02, 0.29, 557),
    "prototype, 1e-4 and 4e-4, 10 minutes": (0.65, 0.14, 0.29, 456),
    "5,000 real test images, as measured then": (0.91, 0.90, 0.97, 29),
}


def some(images: Tensor, num: int) -> Tensor:
    """`num` images at random, the same ones each time."""
    return images[torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:num]]


def line(name: str, real: Tensor, images: Tensor, eyes: EfficientNetLite0) -> None:
    """Print a row of the table: features of REAL images against images (NUM, C, H, W)."""
    fake = features(images, eyes)
    five, three = prdc(real[:NUM], fake, pr_nearest=5), prdc(real[:NUM], fake)
    fid = frechet_distance(Moments.of(real), Moments.of(fake))
    numbers = (five.precision, five.recall, five.coverage, three.precision, three.recall)
    print(f"| {name} | {' | '.join(f'{value:.3f}' for value in numbers)} | {fid:.1f} |", flush=True)


def features(images: Tensor, eyes: EfficientNetLite0) -> Tensor:
    """(N, 1280) of images (N, C, H, W)."""
    return torch.cat([eyes(batch)[0] for batch in images.split(BATCH)])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--seed", type=int, default=0, help="image k has seed + k")
    given = parser.parse_args()
    models = {path: open_model(path) for path in given.models}
    first, eyes = next(iter(models.values())), EfficientNetLite0()
    data = open_training_images(first, None, print)
    test = open_held_out(first.recipe["data"], first.config, first.recipe.get("fit", "crop"), print)
    real = features(some(torch.from_numpy(data.images[:].copy()), REAL), eyes)
    print("| | precision, k = 5 | recall, k = 5 | coverage | precision, k = 3 | recall, k = 3 | FID |")
    print("|---|---|---|---|---|---|---|")
    for name, (precision, recall, coverage, fid) in PROTOTYPES.items():
        print(f"| {name} | {precision} | {recall} | {coverage} | | | {fid} |")
    line("5,000 real test images", real, some(torch.from_numpy(test.images[:].copy()), NUM), eyes)
    for path, model in models.items():
        labels = labels_of(data, "data", NUM, model.config.num_classes)
        line(str(path), real, torch.cat(list(draw(model, labels, given.seed, LatentLaw()))), eyes)


if __name__ == "__main__":
    main()
