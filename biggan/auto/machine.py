"""What this machine can do: the time and memory of an iteration, measured."""

import dataclasses
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from biggan.config import BigGANConfig, TrainConfig
from biggan.data import LabelledImages
from biggan.feed import discriminator_batches, generator_batches
from biggan.machine import available_memory
from biggan.networks import Discriminator, Generator
from biggan.presets import Recipe
from biggan.sampling import STATISTICS_BATCH_SIZE
from biggan.state import TrainState, new_state
from biggan.steps import discriminator_step, generator_step
from biggan.training import iterate, resolve_bf16

TIMED, WARM = 3, 1              # iterations; but once
PATIENCE = 8.0                  # seconds went by, one is timed
PROBES = (2, 4)                 # batches from which the memory of an image is told
# What saved activations alone do not say: gradients on the way, workspaces, a fragmented heap. Measured
# (docs/experiments.md) a step takes 1.3 to 2 times what it saves, and libraries 130 MB at their first use.
SAFETY = 2.3
LIBRARIES = 150 * 2**20
COPIES = 6                      # of each weight: itself, gradient, Adam's two, the average's, and one on the way
MAPS = 5                        # feature maps of a stage that drawing images holds at once


class Machine:
    """The device that a run is to use."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.memory = available_memory(device)       # bytes
        self._kept: dict[BigGANConfig, tuple[float, float]] = {}

    @property
    def accelerated(self) -> bool:
        """Whether it is more than a CPU."""
        return self.device.type != "cpu"

    def __str__(self) -> str:
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        return f"{self.device.type}, {torch.get_num_threads()} threads"

    def seconds(self, recipe: Recipe) -> float:
        """The median time of a real iteration of a recipe, on noise."""
        network, config = recipe
        data, state = noise(recipe, config.batch_size), new_state(network, 0, self.device)
        times: list[float] = []
        while len(times) < WARM + (TIMED if sum(times) < PATIENCE else 1):
            began = time.perf_counter()
            iterate(state, config, data)
            synchronize(self.device)
            times.append(time.perf_counter() - began)
        return statistics.median(times[WARM:])

    def bytes(self, recipe: Recipe) -> int:
        """The memory that training a recipe takes: its weights, and what backward passes keep of the images."""
        network, config = recipe
        weights = weight_bytes(network)
        if weights > self.memory:           # nothing to measure, nor room for it
            return weights
        if network not in self._kept:
            state = new_state(network, 0, self.device)
            few, more = (saved_bytes(state, config, count) for count in PROBES)
            each = (more - few) / (PROBES[1] - PROBES[0])
            self._kept[network] = (max(few - PROBES[0] * each, 0.0), each)
        fixed, each = self._kept[network]
        training = SAFETY * (fixed + (config.microbatch_size or config.batch_size) * each)
        return int(LIBRARIES + weights + max(training, drawing_bytes(network)))


def noise(recipe: Recipe, count: int) -> LabelledImages:
    """Images of the recipe's shape without meaning."""
    network, _ = recipe
    shape = (count, network.image_channels, *network.image_shape)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    names = tuple(map(str, range(network.num_classes)))
    return LabelledImages(pixels, np.arange(count) % network.num_classes, names, "noise", "noise")


def weight_bytes(network: BigGANConfig) -> int:
    """What the weights of both networks take in training, with all that is kept for each of them."""
    with torch.device("meta"):
        G, D = Generator(network), Discriminator(network)
    return 4 * COPIES * sum(p.numel() for net in (G, D) for p in net.parameters())


def drawing_bytes(network: BigGANConfig) -> int:
    """What a batch of images for statistics and previews takes, which keeps nothing for a backward pass."""
    height, width = network.image_shape
    stages = zip(network.g_channels[1:], network.g_resolutions, strict=True)
    largest = max(channels * made**2 for channels, made in stages) * width // height
    return 4 * MAPS * STATISTICS_BATCH_SIZE * largest


def saved_bytes(state: TrainState, config: TrainConfig, count: int) -> int:
    """The most that a step's backward pass keeps in memory, on a batch of `count` images."""
    config = dataclasses.replace(config, batch_size=count, microbatch_size=0)
    data, bf16 = noise((state.config, config), count), resolve_bf16(config.precision, state.device)
    steps: tuple[Callable[[], object], ...] = (
        lambda: discriminator_step(state, discriminator_batches(state, config, data, 0), config, d_step=1, bf16=bf16),
        lambda: generator_step(state, generator_batches(state, config, data), config, bf16=bf16),
    )
    most = 0
    for step in steps:
        seen: dict[int, int] = {}

        def keep(tensor: Tensor, seen: dict[int, int] = seen) -> Tensor:
            storage = tensor.untyped_storage()
            seen[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            step()
        most = max(most, sum(seen.values()))
    return most


def synchronize(device: torch.device) -> None:
    """Wait until the device did what it was asked."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
