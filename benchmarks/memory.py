"""Does `biggan plan` predict the peak of memory?

    python benchmarks/memory.py [--only NAME ...]

For each configuration the prediction, and the peak of a fresh process that trains two iterations: on a CPU
the largest resident set beyond what the process had after training a tiny network (libraries, their kernels),
on a GPU what PyTorch's allocator gave out at most.
"""

import argparse
import dataclasses
import subprocess
import sys
from pathlib import Path

import torch

from biggan.bench import hardware
from biggan.config import BigGANConfig, TrainConfig
from biggan.machine import has_bf16, keep_freed_memory
from biggan.plan import iteration, peak, resident
from biggan.presets import biggan_64, biggan_deep_128, cifar10, digits
from biggan.state import new_state

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
TINY = BigGANConfig(resolution=8, num_classes=10, z_dim=8, g_ch=2, d_ch=2, g_attention=(), d_attention=())


def cases() -> dict[str, tuple[BigGANConfig, int]]:
    """Configurations and micro-batches."""
    small = dataclasses.replace(cifar10()[0], num_classes=10)
    deep = dataclasses.replace(biggan_deep_128()[0], num_classes=10)
    return {
        "32 px, ch 32, batch 64": (dataclasses.replace(small, g_ch=32, d_ch=32), 64),
        "32 px, ch 64, batch 32": (small, 32),
        "64 px, ch 32, attention, batch 32": (dataclasses.replace(biggan_64()[0], g_ch=32, d_ch=32), 32),
        "deep, 128 px, ch 32, attention, batch 8": (dataclasses.replace(deep, g_ch=32, d_ch=32), 8),
        "16 px, ch 16, batch 64 (digits)": (digits()[0], 64),
        "64 px, ch 64, attention, batch 16": (dataclasses.replace(biggan_64()[0], num_classes=10), 16),
    }


def measure(name: str) -> int:
    """Bytes of the peak of two iterations, beyond what a tiny network leaves."""
    network, batch = cases()[name]
    keep_freed_memory(DEVICE)
    bf16 = has_bf16(DEVICE)
    before = 0
    for some, images in ((TINY, 4), (network, batch)):
        if some is network and DEVICE.type == "cpu":
            Path("/proc/self/clear_refs").write_text("5")
            before = status("VmRSS")
        state = new_state(some, 0, DEVICE)
        config = TrainConfig(batch_size=images)
        for _ in range(2):
            iteration(state, config, images, 1, bf16)
    return torch.cuda.max_memory_allocated() if DEVICE.type == "cuda" else status("VmHWM") - before


def status(field: str) -> int:
    """A number of bytes from the kernel's account of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024


def main() -> None:
    """Print a line a configuration."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=list(cases()))
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(measure(given.measure))
        return
    print(hardware(DEVICE))
    print(f"{'configuration':42s} {'predicted MiB':>13s} {'measured MiB':>13s}  predicted / measured")
    for name in given.only:
        network, batch = cases()[name]
        tensors = peak(network, TrainConfig(batch_size=batch), batch, has_bf16(DEVICE))
        predicted = (resident(tensors) if DEVICE.type == "cpu" else tensors) / 2**20
        done = subprocess.run([sys.executable, __file__, "--measure", name], check=True, capture_output=True)
        measured = int(done.stdout) / 2**20
        print(f"{name:42s} {predicted:13.0f} {measured:13.0f} {predicted / measured:6.2f}", flush=True)


if __name__ == "__main__":
    main()
