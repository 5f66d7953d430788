"""After how many iterations does --compile pay?

    python benchmarks/compile.py [--repeats 9]

The iteration of 32 px, ch 32, batch 32: what compilation takes at first, and what it saves of each iteration.
"""

import argparse
import copy
import dataclasses
import statistics

import torch
from timing import in_turn, seconds

from biggan.accelerate import accelerate
from biggan.bench import hardware
from biggan.config import TrainConfig
from biggan.machine import has_bf16, keep_freed_memory
from biggan.plan import iteration
from biggan.presets import cifar10
from biggan.state import new_state

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def main() -> None:
    """Print the first compiled iterations, both medians and the number of iterations."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    given = parser.parse_args()
    keep_freed_memory(DEVICE)
    network = dataclasses.replace(cifar10()[0], num_classes=10, g_ch=32, d_ch=32)
    config, bf16 = TrainConfig(batch_size=32), has_bf16(DEVICE)
    plain = new_state(network, 0, DEVICE)
    compiled = copy.deepcopy(plain)
    accelerate(compiled, dataclasses.replace(config, compile=True))
    print(hardware(DEVICE))
    first = seconds(lambda: iteration(compiled, config, 32, 1, bf16)) + seconds(
        lambda: iteration(compiled, config, 32, 1, bf16)
    )
    times = in_turn(
        {
            "plain": lambda: iteration(plain, config, 32, 1, bf16),
            "compiled": lambda: iteration(compiled, config, 32, 1, bf16),
        },
        given.repeats,
    )
    before, after = (statistics.median(times[side]) for side in ("plain", "compiled"))
    print(f"the first two compiled iterations {first:.0f} s")
    print(f"then plain {before * 1e3:.0f} ms, compiled {after * 1e3:.0f} ms")
    if after < before:
        print(f"pays after {first / (before - after):,.0f} iterations")


if __name__ == "__main__":
    main()
