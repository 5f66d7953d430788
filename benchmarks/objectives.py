"""Every objective and regularizer on the digits: does it train, and how well in a few minutes?

    python benchmarks/objectives.py [--seconds 300] [--only hinge hinge+r1] [--runs FOLDER]

Prints a Markdown table for docs/training.md: iterations in the time, label accuracy and FID of the EMA
generator. A run that stops being finite says so.
"""

import argparse
import dataclasses
import os
import signal
import time
from pathlib import Path

import torch

from biggan import BigGAN
from biggan.data import open_dataset
from biggan.errors import UserError
from biggan.evaluation import evaluate
from biggan.presets import digits
from biggan.training import train

VARIANTS: dict[str, dict[str, object]] = {
    "hinge": {},
    "non-saturating": {"objective": "non-saturating"},
    "non-saturating, smoothing 0.1": {"objective": "non-saturating", "label_smoothing": 0.1},
    "minimax": {"objective": "minimax"},
    "wasserstein": {"objective": "wasserstein"},
    "least-squares": {"objective": "least-squares"},
    "hinge+r1": {"r1": 0.1},
    "hinge+lecam": {"lecam": 0.3, "lecam_start": 64 * 200},
    "hinge+cr": {"consistency_real": 10.0, "consistency_augment": ("translation",)},
    "hinge+bcr": {"consistency_real": 10.0, "consistency_fake": 10.0, "consistency_augment": ("translation",)},
    "hinge+diffaugment": {"augment": ("translation", "cutout")},
    "hinge+top-k": {"top_k": 0.5, "top_k_images": 64 * 1000},
    "hinge+ortho off-diagonal": {"g_ortho": 2e-4},
    "hinge+ortho full": {"g_ortho": 2e-4, "ortho": "full"},
}


class Clock:
    """Ends a run after some seconds, as a signal would."""

    def __init__(self, seconds: float) -> None:
        self.ends = time.monotonic() + seconds
        self.images = 0

    def message(self, line: str) -> None:
        """Print it."""
        print("   ", line, flush=True)

    def progress(self, images_seen: int, images: int, metrics: dict[str, float]) -> None:
        """Ask the run to save and stop when its time is over."""
        self.images = images_seen
        if time.monotonic() > self.ends:
            os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Train and evaluate each variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--only", nargs="*", default=list(VARIANTS))
    parser.add_argument("--runs", type=Path, default=Path("runs/objectives"))
    given = parser.parse_args()
    data = open_dataset("digits", resolution=16, channels=1)
    rows = []
    for name in given.only:
        network, config = digits()
        config = dataclasses.replace(config, images=10**9, preview_every=0, **VARIANTS[name])
        run, clock, verdict = given.runs / name.replace(" ", "-").replace(",", ""), Clock(given.seconds), ""
        try:
            train(network, config, data, run, clock)
        except UserError as error:
            verdict = str(error)[:80]
        metrics = evaluate(BigGAN.from_pretrained(run), data, num=2000)["metrics"]
        numbers = f"{clock.images // 64:,} | {metrics['label_accuracy']:.3f} | {metrics['fid']:.1f}"
        row = f"| {name} | {numbers} | {verdict} |"
        print(row, flush=True)
        rows.append(row)
    print("\n| objective | iterations | label accuracy | FID | |\n|---|---|---|---|---|")
    print("\n".join(rows), f"\n\n{torch.get_num_threads()} threads, {given.seconds:.0f} seconds each")


if __name__ == "__main__":
    main()
