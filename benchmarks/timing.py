"""What the benchmarks share: sides that take turns.

The speed of a machine drifts, on shared ones by 40 % within minutes. So the sides of a comparison run in
turn in one process, and what is reported of a ratio is the median over the turns.
"""

import statistics
import time
from collections.abc import Callable

import torch


def seconds(function: Callable[[], object]) -> float:
    """The time of one call, the device's work included."""
    synchronise()
    began = time.perf_counter()
    function()
    synchronise()
    return time.perf_counter() - began


def synchronise() -> None:
    """Wait for a GPU, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def in_turn(sides: dict[str, Callable[[], object]], repeats: int, warmup: int = 2) -> dict[str, list[float]]:
    """Seconds of each call of each side; the sides alternate."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for repeat in range(warmup + repeats):
        for name, function in sides.items():
            taken = seconds(function)
            if repeat >= warmup:
                times[name].append(taken)
    return times


def ratio(times: dict[str, list[float]], slow: str, fast: str) -> float:
    """How many times faster one side is: the median of the ratios of neighbouring calls."""
    return statistics.median(a / b for a, b in zip(times[slow], times[fast], strict=True))
