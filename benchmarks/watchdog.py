"""Alarms on healthy runs, and how soon a collapsing one is diagnosed.

    python benchmarks/watchdog.py [--healthy 10] [--steps 1500] [--runs FOLDER]

Trains the digits with `--watch warn` for that many seeds, which should raise no alarm, then with learning
rates x50, and with rates that jump x50 in the middle under `--watch rollback`, which should end with the
weights from before. Prints a Markdown table for docs/training.md.
"""

import argparse
import dataclasses
from pathlib import Path

import biggan.training
from biggan.checkpoint import checkpoint_files, clock_of
from biggan.data import open_dataset
from biggan.errors import UserError
from biggan.presets import digits
from biggan.training import train

JUMP = 64 * 600                     # where the rates jump


class Listener:
    """Remembers what the watchdog says."""

    def __init__(self) -> None:
        self.alarms: list[str] = []

    def message(self, line: str) -> None:
        """Print it, and remember it if the watchdog says it."""
        print("   ", line, flush=True)
        if line.startswith("watchdog"):
            self.alarms.append(line)

    def progress(self, images_seen: int, images: int, metrics: dict[str, float]) -> None:
        """Nothing."""


def jump_rates() -> None:
    """From here on both learning rates are x50 beyond a clock."""
    iterate = biggan.training.iterate

    def jumping(state, config, data):  # type: ignore[no-untyped-def]
        if state.images_seen == JUMP:
            for optimizer in (state.g_optimizer, state.d_optimizer):
                optimizer.param_groups[0]["lr"] *= 50
        return iterate(state, config, data)

    biggan.training.iterate = jumping


def main() -> None:
    """Train the healthy runs and the others."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--healthy", type=int, default=10)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--runs", type=Path, default=Path("runs/watchdog"))
    given = parser.parse_args()
    data = open_dataset("digits", resolution=16, channels=1)
    network, config = digits()
    config = dataclasses.replace(config, images=64 * given.steps, checkpoint_every=64 * 200, preview_every=0)
    faster = dataclasses.replace(network, g_lr=network.g_lr * 50, d_lr=network.d_lr * 50)
    seeds = range(given.healthy)
    cases = [(f"healthy, seed {seed}", network, dataclasses.replace(config, seed=seed)) for seed in seeds]
    cases.append(("rates x50 from the start", faster, dataclasses.replace(config, watch="stop")))
    cases.append((f"rates x50 at {JUMP:,} images", network, dataclasses.replace(config, watch="rollback")))
    rows = []
    for name, some_network, some_config in cases:
        listener, run, ending = Listener(), given.runs / name.replace(" ", "-").replace(",", ""), "complete"
        if name.endswith("images"):
            jump_rates()
        try:
            train(some_network, some_config, data, run, listener)
        except UserError as error:
            ending = str(error)
        files = checkpoint_files(run)
        last = f"{clock_of(files[-1]):,}" if files else "none"
        first = (listener.alarms or ["-"])[0][:120]
        rows.append(f"| {name} | {len(listener.alarms)} | {first} | {last} | {ending[-90:]} |")
        print(rows[-1], flush=True)
    print("\n| run | alarms | the first | newest checkpoint | end |\n|---|---|---|---|---|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
