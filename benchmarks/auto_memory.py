"""The memory that `train auto` foresees against what two iterations take, each in a process of its own.

    python benchmarks/auto_memory.py

Prints a Markdown table for docs/experiments.md. Taken is the growth of the process's peak resident set.
"""

import argparse
import resource
import subprocess
import sys

from biggan.presets import Recipe, preset, with_overrides

CASES = [(16, 16, 64), (16, 16, 256), (32, 16, 64), (32, 64, 64), (64, 32, 32)]       # px, width, batch


def recipe(resolution: int, width: int, batch: int) -> Recipe:
    """Colour images of ten classes."""
    attention = (32,) if resolution >= 64 else ()
    return with_overrides(
        preset("cifar10"),
        {
            "resolution": resolution, "z_dim": 60 if resolution == 16 else 80 if resolution == 32 else 100,
            "g_ch": width, "d_ch": width, "batch_size": batch, "d_steps": 1,
            "g_attention": attention, "d_attention": attention,
        },
    )  # fmt: skip


def measure(what: str, case: tuple[int, int, int]) -> float:
    """MB foreseen or taken, in this process."""
    import torch

    from biggan.auto.machine import Machine, noise
    from biggan.state import new_state
    from biggan.training import iterate

    wanted, device = recipe(*case), torch.device("cpu")
    if what == "foreseen":
        return Machine(device).bytes(wanted) / 2**20
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    state, data = new_state(wanted[0], 0, device), noise(wanted, case[2])
    for _ in range(2):
        iterate(state, wanted[1], data)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before


def main() -> None:
    """A process for each number."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        what, *case = given.one
        print(measure(what, (int(case[0]), int(case[1]), int(case[2]))))
        return
    print("| px | width | batch | foreseen, MB | taken, MB |\n|---|---|---|---|---|")
    for case in CASES:
        command = [sys.executable, __file__, "--one"]
        numbers = [
            float(subprocess.run([*command, what, *map(str, case)], capture_output=True, check=True, text=True).stdout)
            for what in ("foreseen", "taken")
        ]
        print("|", " | ".join(f"{n:,}" for n in case), "|", " | ".join(f"{n:,.0f}" for n in numbers), "|", flush=True)


if __name__ == "__main__":
    main()
