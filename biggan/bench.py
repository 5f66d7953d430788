"""How fast this machine trains, samples and loads data, and what part of its arithmetic that is.

The ceiling is a large matrix product measured in the same run; FLOPs are those of the fused forms (`plan`).
"""

import dataclasses
from pathlib import Path

import torch

from biggan import plan as planning
from biggan.config import BigGANConfig, TrainConfig
from biggan.data import LabelledImages
from biggan.feed import discriminator_batches
from biggan.machine import keep_freed_memory, median_seconds
from biggan.model import BigGAN
from biggan.sampling import bf16_is_close
from biggan.state import new_state

SIDE = 2048                 # of the matrices whose product is the ceiling


@dataclasses.dataclass(frozen=True)
class Speed:
    """One measured kind of work."""

    what: str
    images: float           # a second
    flops: float            # a second; 0 where there are none to speak of
    ceiling: float          # a second, of matrix products in this work's precision


def hardware(device: torch.device) -> str:
    """Torch, processor or GPU, and threads."""
    if device.type == "cuda":
        return f"torch {torch.__version__}, {torch.cuda.get_device_name(device)}"
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "CPU")
    return f"torch {torch.__version__}, {name}, {torch.get_num_threads()} threads"


def matrix_product(device: torch.device, bf16: bool) -> float:
    """FLOP/s of a large matrix product."""
    dtype = torch.bfloat16 if bf16 else torch.float32
    a, b = (torch.randn(SIDE, SIDE, device=device, dtype=dtype) for _ in range(2))
    return 2 * SIDE**3 / median_seconds(lambda: a @ b, device)


def training(network: BigGANConfig, config: TrainConfig, device: torch.device, bf16: bool) -> Speed:
    """An iteration on one micro-batch of random images."""
    keep_freed_memory(device)
    images = config.microbatch_size or config.batch_size
    config = dataclasses.replace(config, batch_size=images, microbatch_size=0)
    taken = planning.seconds(network, config, bf16, device)
    flops = planning.plan(network, config, images, bf16).flops
    return Speed(f"training, {images} images", images / taken, flops * images / taken, matrix_product(device, bf16))


def sampling(network: BigGANConfig, device: torch.device, images: int) -> Speed:
    """Batches from a generator with random weights, as `biggan sample` draws them."""
    model = BigGAN(network).to(device).eval()
    bf16 = bf16_is_close(model)
    with model.drawing(bf16):
        taken = median_seconds(lambda: model.generate(num=images, seed=0, batch_size=images, bf16=bf16), device)
    made = planning.plan(network, TrainConfig(batch_size=2), 1, bf16)
    flops = sum(row.flops for row in made.layers if row.name.startswith("G"))
    return Speed(f"sampling, {images} images", images / taken, flops * images / taken, matrix_product(device, bf16))


def loading(network: BigGANConfig, config: TrainConfig, data: LabelledImages, device: torch.device) -> Speed:
    """What a discriminator step is fed: real images from the data set, latents and labels."""
    state = new_state(network, config.seed, device)

    def load() -> None:
        discriminator_batches(state, config, data, 0)
        state.images_seen += config.batch_size

    return Speed(f"loading, {config.batch_size} images", config.batch_size / median_seconds(load, device), 0.0, 0.0)
