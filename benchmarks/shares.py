"""Where does the time of a training iteration go?

    python benchmarks/shares.py [--only "32 px, ch 32"]

One iteration (one D step, one G step, batch 32, bf16) under PyTorch's profiler, its operations by kind. A GPU's
kernels are not told apart here. Shares are of the time inside operations.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity, profile

from biggan.bench import hardware
from biggan.config import BigGANConfig, TrainConfig
from biggan.machine import has_bf16
from biggan.state import new_state
from biggan.steps import DBatch, GBatch, discriminator_step, generator_step

BATCH = 32
CLASSES = 10
DEEP = {"architecture": "biggan-deep", "skip_z": "whole", "linear_input": "z+class", "z_dim": 128}
CASES: dict[str, dict[str, object]] = {
    "32 px, ch 32": {"resolution": 32, "g_ch": 32, "d_ch": 32},
    "32 px, ch 64": {"resolution": 32, "g_ch": 64, "d_ch": 64},
    "64 px, ch 16, attention": {"resolution": 64, "g_ch": 16, "d_ch": 16, "g_attention": (32,), "d_attention": (32,)},
    "deep, 64 px, ch 32, attention": {
        "resolution": 64, "g_ch": 32, "d_ch": 32, "g_attention": (32,), "d_attention": (32,), **DEEP,
    },
}  # fmt: skip
# The first whose word is in an operation's name; tensors of at most two dimensions are weights or logits.
KINDS = (
    ("convolutions", ("conv",)),
    ("attention", ("attention", "max_pool", "softmax", "bmm")),
    ("batch norm", ("batch_norm", "addcmul")),
    ("ReLU", ("clamp_min", "threshold")),
    ("resampling of shortcuts", ("upsample", "avg_pool")),
    ("Adam", ("adam",)),
    ("power iterations and linear layers", ("mm", "mv", "dot", "norm")),
)
MAPS = 4        # dimensions of a batch of maps


def kind_of(name: str, shapes: list[list[int]]) -> str:
    """What an operation is for."""
    for kind, words in KINDS:
        if any(word in name.lower() for word in words):
            return kind
    first = next((shape for shape in shapes if shape), [])
    if len(first) == MAPS and first[0] in (BATCH, 2 * BATCH) and first[2] > MAPS:
        return "sums, products and copies of maps"
    return "sums, products and copies of weights, and the rest"


def training_iteration(case: dict[str, object], device: torch.device) -> Callable[[], None]:
    """One D step and one G step of a case, to be called as often as one likes."""
    config = BigGANConfig(**{"num_classes": CLASSES, "g_attention": (), "d_attention": (), **case})  # type: ignore[arg-type]
    state, train = new_state(config, 0, device), TrainConfig(batch_size=BATCH)
    x = torch.rand(BATCH, *(config.image_channels, *config.image_shape), device=device) * 2 - 1
    y, z = torch.arange(BATCH, device=device) % CLASSES, torch.randn(BATCH, config.z_dim, device=device)

    def iteration() -> None:
        discriminator_step(state, [DBatch(x, y, z, y)], train, bf16=has_bf16(device))
        generator_step(state, [GBatch(z, y)], train, bf16=has_bf16(device))

    return iteration


def shares(case: dict[str, object], device: torch.device) -> dict[str, float]:
    """The share of each kind."""
    iteration = training_iteration(case, device)
    iteration()
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as found:
        iteration()
    spent: dict[str, float] = defaultdict(float)
    for row in found.key_averages(group_by_input_shape=True):
        spent[kind_of(row.key, row.input_shapes)] += row.self_cpu_time_total
    total = sum(spent.values())
    return {kind: spent[kind] / total for kind in sorted(spent, key=lambda kind: -spent[kind])}


def main() -> None:
    """A Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=list(CASES))
    given, device = parser.parse_args(), torch.device("cpu")
    print(hardware(device))
    for name in given.only:
        print(f"\n{name}\n")
        for kind, share in shares(CASES[name], device).items():
            print(f"| {kind} | {share:.1%} |")


if __name__ == "__main__":
    main()
