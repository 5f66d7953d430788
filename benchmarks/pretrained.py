"""Make a model of the package out of a run: rounded to bf16, with batch statistics of its own, measured.

    biggan train fashion --out runs/fashion
    python benchmarks/pretrained.py runs/fashion fashion --trained "2 hours on one core of an Intel Xeon, 2026-11-22"

The weights are rounded first, then batch statistics are measured for N(0, 1) and for thresholds, and then what
`biggan evaluate fashion --protocol efficientnet10k-train --gan-test --floor` measures is written into the card,
of two sets of seeds.
"""

import argparse
import json
from pathlib import Path

import torch

from biggan import BigGAN, LatentLaw, pretrained
from biggan.evaluation import evaluate
from biggan.evaluation.protocol import PROTOCOLS
from biggan.evaluation.sides import open_sides
from biggan.sampling import add_statistics, standing_statistics

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0)
PASSES = 64             # of 64 images, for batch statistics
OTHER_SEED = 100_000    # the first of the images that are measured a second time
PROTOCOL, EXTRAS = PROTOCOLS["efficientnet10k-train"], ("gan-test", "floor")
COMMAND = "`biggan evaluate fashion --protocol efficientnet10k-train --gan-test --floor`"
SHOWN = ("fid", "precision", "recall", "density", "coverage", "label_accuracy")


def rounded(model: BigGAN) -> None:
    """Round G's parameters to bf16, as they will be stored, and measure batch statistics anew."""
    with torch.no_grad():
        for parameter in model.G.parameters():
            parameter.copy_(parameter.to(torch.bfloat16))
    standing_statistics(model.G, model.config.num_classes, model.config.z_dim, batches=PASSES)
    add_statistics(model, [LatentLaw("threshold", value) for value in THRESHOLDS], batches=PASSES)


def measured(model: BigGAN) -> dict[str, str]:
    """The card's metrics, each with that of other seeds, which shows the noise, and what real images reach."""
    data, held_out = open_sides(model, PROTOCOL, EXTRAS, None, None, print)
    found, other = (
        evaluate(model, data, protocol=PROTOCOL, seed=seed, held_out=held_out, extras=extras, report=print)
        for seed, extras in ((0, EXTRAS), (OTHER_SEED, EXTRAS[:1]))      # one floor for both
    )
    print(json.dumps({key: found[key] for key in ("metrics", "floor")} | {"other": other["metrics"]}, indent=2))
    return {
        name: f"{found['metrics'][name]:.3f} (seeds from {OTHER_SEED:,} on: {other['metrics'][name]:.3f}; "
        f"real test images: {found['floor'][name]:.3f})"
        for name in SHOWN
    }


def main() -> None:
    """Read the run, write the package's folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    parser.add_argument("--quick", action="store_true", help="leave the measurement out")
    parser.add_argument("--trained", default="", help="for the card: how long, on what, when")
    given = parser.parse_args()
    model = BigGAN.from_pretrained(given.run)
    model.D = None
    rounded(model)
    model.metrics = {} if given.quick else {"trained for": given.trained, "measured by": COMMAND} | measured(model)
    folder = pretrained.FOLDER / given.name
    model.save_pretrained(folder, dtype=torch.bfloat16)
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"wrote {folder}: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
