"""How much faster is a training iteration than in another version of this code?

    git worktree add ../before COMMIT
    python benchmarks/versions.py ../before [--only "32 px, ch 32"] [--repeats 12]

Each version runs in a process of its own on one core, and they take turns: the CPU time of one iteration (one D step,
one G step, batch 32, bf16), and the median of the ratios of neighbouring ones. The cases are those of `shares.py`.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
WARMUP = 2


def answer(name: str) -> None:
    """Time an iteration for each line that comes in: the other end of `Version`."""
    import torch
    from shares import CASES, training_iteration

    from biggan.machine import keep_freed_memory

    device = torch.device("cpu")
    keep_freed_memory(device)
    torch.set_num_threads(1)
    iteration = training_iteration(CASES[name], device)
    for _ in sys.stdin:
        began = time.process_time()
        iteration()
        print(time.process_time() - began, flush=True)


class Version:
    """A process that trains one case by the code of a checkout."""

    def __init__(self, checkout: Path, name: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__, str(checkout), "--answer", name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    def seconds(self) -> float:
        """CPU time of its next iteration."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def main() -> None:
    """Print one line a case."""
    from shares import CASES

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="a checkout of the other version")
    parser.add_argument("--only", nargs="*", default=list(CASES))
    parser.add_argument("--repeats", type=int, default=12)
    parser.add_argument("--answer", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.answer:
        answer(given.answer)
        return
    for name in given.only:
        other, this = Version(given.other.resolve(), name), Version(HERE, name)
        pairs = [(other.seconds(), this.seconds()) for _ in range(WARMUP + given.repeats)][WARMUP:]
        times = [statistics.median(side) * 1e3 for side in zip(*pairs, strict=True)]
        share = statistics.median(b / a for a, b in pairs)
        print(f"{name:32s} other {times[0]:6.0f} ms, this {times[1]:6.0f} ms: {share:.3f}", flush=True)
        for version in (other, this):
            version.process.communicate()


if __name__ == "__main__":
    main()
