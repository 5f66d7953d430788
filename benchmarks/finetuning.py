"""Five classes of Fashion-MNIST from a model of the other five, against a start from nothing at equal time.

    python benchmarks/finetuning.py [--pretrain 180] [--seconds 30 90] [--runs FOLDER] [--only scratch mean ...]

The images are made 16 px, the networks are those of the recipe `digits`. Time is the process's own CPU
time from the first step on, so other work on the machine changes nothing; the classifier that chooses
the nearest classes is the one that evaluation trains anyway. Needs Debian's dataset-fashion-mnist.
--pretrain 0 uses the model of an earlier call. Prints a Markdown table for docs/experiments.md.
"""

import argparse
import dataclasses
import os
import signal
import time
from pathlib import Path

import numpy as np
import torch

from biggan import BigGAN
from biggan.data import LabelledImages, open_dataset
from biggan.evaluation import evaluate
from biggan.presets import FASHION_CLASSES, digits
from biggan.training import train

OLD = ("t-shirt", "pullover", "dress", "coat", "sandal")
NEW = ("trouser", "shirt", "sneaker", "bag", "ankle boot")
WAYS: dict[str, dict[str, object]] = {
    "scratch": {},
    "fresh": {"init_others": "fresh"},
    "mean": {"init_others": "mean"},
    "nearest": {"init_others": "nearest"},
    "mixed": {"init_others": "mixed"},
    "nearest, --freeze-d 16": {"init_others": "nearest", "freeze_d": 16},
}


class CpuClock:
    """Ends a run after some seconds of CPU time from its first step on, as a signal would."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.ends = seconds, float("inf")
        self.images = 0

    def message(self, line: str) -> None:
        """Print it."""
        print("   ", line, flush=True)

    def progress(self, images_seen: int, images: int, metrics: dict[str, float]) -> None:
        """Ask the run to save and stop when its time is over."""
        if not self.images:
            self.ends = time.process_time() + self.seconds
        self.images = images_seen
        if time.process_time() > self.ends:
            os.kill(os.getpid(), signal.SIGTERM)


def classes(data: LabelledImages, names: tuple[str, ...]) -> LabelledImages:
    """The images of some classes."""
    labels = [data.class_names.index(name) for name in names]
    rows = np.concatenate([data.rows_by_class[label] for label in labels])
    y = np.concatenate([np.full(len(data.rows_by_class[label]), k) for k, label in enumerate(labels)])
    return LabelledImages(data.images[rows], y, names, f"fashion: {', '.join(names)}", f"{data.fingerprint}{names}")


def main() -> None:
    """Train the old five, then the new five in every way, and measure each at every time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pretrain", type=float, default=180)
    parser.add_argument("--seconds", type=float, nargs="*", default=[30, 90])
    parser.add_argument("--only", nargs="*", default=["scratch", "fresh", "mean", "nearest"])
    parser.add_argument("--num", type=int, default=2_000)
    parser.add_argument("--runs", type=Path, default=Path("runs/finetuning"))
    given = parser.parse_args()
    source = "/usr/share/datasets/fashion-mnist"
    fashion = open_dataset(source, resolution=16, channels=1).renamed(FASHION_CLASSES)
    old, new = classes(fashion, OLD), classes(fashion, NEW)
    network, config = digits()
    network = dataclasses.replace(network, num_classes=5)
    config = dataclasses.replace(config, data=source, images=10**9, preview_every=0, checkpoint_every=10**9)
    trained = given.runs / "old"
    if given.pretrain:
        clock = CpuClock(given.pretrain)
        train(network, config, old, trained, clock)
        print(f"old classes: {clock.images // 64:,} iterations", flush=True)
    rows = []
    for way in given.only:
        run = given.runs / way.replace(" ", "-").replace(",", "")
        settings = {"init": str(trained), **WAYS[way]} if way != "scratch" else {}
        spent = 0.0
        for seconds in given.seconds:
            clock = CpuClock(seconds - spent)
            train(network, dataclasses.replace(config, **settings), new, run, clock)
            spent = seconds
            metrics = evaluate(BigGAN.from_pretrained(run), new, num=given.num)["metrics"]
            numbers = " | ".join(f"{metrics[name]:.3f}" for name in ("label_accuracy", "recall", "coverage"))
            rows.append(f"| {way} | {seconds:.0f} | {clock.images // 64:,} | {numbers} | {metrics['fid']:.1f} |")
            print(rows[-1], flush=True)
    print("\n| begins as | CPU s | iterations | label accuracy | recall | coverage | FID |")
    print("|---|---|---|---|---|---|---|")
    print("\n".join(rows), f"\n\n{torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
