"""Does `biggan plan` predict the peak of memory?

    python benchmarks/memory.py [--only NAME ...] [--repeats 3]

For each configuration the prediction, and the median over fresh processes of the peak of two iterations: on a CPU
the largest resident set beyond what the process had after training a tiny network (libraries, their kernels),
on a GPU what PyTorch's allocator gave out at most. The last line is what the tiny network itself took.
"""

import argparse
import statistics
import subprocess
import sys
from pathlib import Path

import torch

from biggan.bench import hardware
from biggan.machine import has_bf16, keep_freed_memory
from biggan.plan import iteration, peak, resident
from biggan.presets import Recipe, biggan_64, biggan_deep_128, cifar10, digits, with_overrides
from biggan.state import new_state

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
NARROW = {"num_classes": 10, "d_steps": 1, "microbatch_size": 0}
TINY = with_overrides(
    cifar10(),
    NARROW | {"resolution": 8, "z_dim": 40, "g_ch": 2, "d_ch": 2, "batch_size": 4},
)


def fitted() -> dict[str, Recipe]:
    """Those that the rule in `biggan.plan.resident` was fitted to."""
    return {
        "32 px, ch 32, batch 64": narrow(cifar10(), 32, 64),
        "32 px, ch 64, batch 32": narrow(cifar10(), 64, 32),
        "64 px, ch 32, attention, batch 32": narrow(biggan_64(), 32, 32, num_classes=1000),
        "deep, 128 px, ch 32, attention, batch 8": narrow(biggan_deep_128(), 32, 8),
        "16 px, ch 16, batch 64 (digits)": digits(),
        "64 px, ch 64, attention, batch 16": narrow(biggan_64(), 64, 16),
    }


def held_out() -> dict[str, Recipe]:
    """Those that it has never seen."""
    fake_colours = {"image_channels": 4, "augment": ("translation", "cutout", "color")}
    return {
        "48 px, ch 32, batch 32": narrow(cifar10(), 32, 32, resolution=48, base_resolution=6),
        "32 px, ch 48, batch 16, 2 D steps": narrow(cifar10(), 48, 16, d_steps=2),
        "deep, 32 px, ch 32, batch 32": narrow(cifar10(), 32, 32, architecture="biggan-deep"),
        "128 px, ch 16, attention, batch 8": narrow(biggan_64(), 16, 8, resolution=128, z_dim=120),
        "16 px, ch 16, batch 256": narrow(cifar10(), 16, 256, resolution=16, z_dim=60),
        "64 px, ch 16, transparent, DiffAugment, batch 64": narrow(biggan_64(), 16, 64, **fake_colours),
        "32 px, ch 32, batch 64 in parts of 16": narrow(cifar10(), 32, 64, microbatch_size=16),
    }


def narrow(recipe: Recipe, width: int, batch: int, **fields: object) -> Recipe:
    """A preset with other widths and another batch, of ten classes and with one D step."""
    return with_overrides(recipe, NARROW | {"g_ch": width, "d_ch": width, "batch_size": batch} | fields)


def predicted(recipe: Recipe) -> int:
    """What `biggan plan` says, in bytes."""
    network, config = recipe
    tensors = peak(network, config, config.microbatch_size or config.batch_size, has_bf16(DEVICE))
    return resident(tensors) if DEVICE.type == "cpu" else tensors


def measure(recipe: Recipe | None) -> int:
    """Bytes of the peak of two iterations beyond what a tiny network leaves, or of the tiny one itself."""
    keep_freed_memory(DEVICE)
    before = held()
    twice(TINY)
    if recipe is None:
        return held() - before
    if DEVICE.type == "cpu":
        Path("/proc/self/clear_refs").write_text("5")           # forget the peak so far
    before = held()
    twice(recipe)
    return torch.cuda.max_memory_allocated() if DEVICE.type == "cuda" else status("VmHWM") - before


def twice(recipe: Recipe) -> None:
    """Train two iterations."""
    network, config = recipe
    state, micro = new_state(network, 0, DEVICE), config.microbatch_size or config.batch_size
    for _ in range(2):
        iteration(state, config, micro, config.batch_size // micro, has_bf16(DEVICE))


def held() -> int:
    """Bytes of the resident set."""
    return status("VmRSS")


def status(field: str) -> int:
    """A number of bytes from the kernel's account of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024


def in_processes(name: str, repeats: int) -> float:
    """MiB that `measure` gives in fresh processes: the median, since a heap's gaps differ from one to the next."""
    command = [sys.executable, __file__, "--measure", name]
    found = [int(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(repeats)]
    return statistics.median(found) / 2**20


def main() -> None:
    """Print a Markdown line a configuration."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(measure((fitted() | held_out()).get(given.measure)))
        return
    print(hardware(DEVICE))
    for title, cases in (("fitted", fitted()), ("held out", held_out())):
        print(f"\n| {title} | predicted MiB | measured MiB | ratio |\n|---|---|---|---|")
        for name, recipe in cases.items():
            if given.only is None or name in given.only:
                said, taken = predicted(recipe) / 2**20, in_processes(name, given.repeats)
                print(f"| {name} | {said:,.0f} | {taken:,.0f} | {said / taken:.2f} |", flush=True)
    print(f"\nlibraries and the tiny network: {in_processes('tiny', given.repeats):,.0f} MiB")


if __name__ == "__main__":
    main()
