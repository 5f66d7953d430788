"""What each step is fed, computed from the clock: no loader or generator has a state to save.

Global index g of an image is its place in the run: image g is the same in any micro-batch and on any
process, and each process makes only its own share.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from biggan import distributed
from biggan.config import TrainConfig
from biggan.data import LabelledImages, class_shares, real_indices, to_float
from biggan.errors import UserError
from biggan.latents import Stream, labels, latents, uniforms
from biggan.state import TrainState
from biggan.steps import D_DRAWS, G_DRAWS, DBatch, GBatch


def discriminator_batches(state: TrainState, config: TrainConfig, data: LabelledImages, d_step: int) -> list[DBatch]:
    """The share of this process in the d_step-th discriminator step at the state's clock, by micro-batches."""
    device, seed = state.device, config.seed
    batches = []
    for start, size in shares(state.images_seen * config.d_steps + d_step * config.batch_size, config):
        x, y = data.batch(real_indices(seed, start, size, data, config.real_labels))
        x = to_float(x.to(device, non_blocking=True))
        if config.flip:
            mirrored = uniforms(seed, Stream.FLIP, start, size, 1)[:, :, None, None] < 0.5
            x = torch.where(mirrored.to(device), x.flip(3), x)
        z = latents(seed, Stream.D_LATENT, start, size, state.config.z_dim)
        fake_y = labels(seed, Stream.D_LABEL, start, size, state.config.num_classes, fake_shares(config, data))
        drawn = config.augment or config.consistency_real or config.consistency_fake
        draws = uniforms(seed, Stream.D_AUGMENT, start, size, D_DRAWS).float().to(device) if drawn else None
        batches.append(DBatch(x, y.to(device), z.to(device), fake_y.to(device), draws))
    return batches


def generator_batches(state: TrainState, config: TrainConfig, data: LabelledImages) -> list[GBatch]:
    """The share of this process in the generator step at the state's clock, by micro-batches."""
    device, seed = state.device, config.seed
    batches = []
    for start, size in shares(state.images_seen, config):
        z = latents(seed, Stream.G_LATENT, start, size, state.config.z_dim)
        y = labels(seed, Stream.G_LABEL, start, size, state.config.num_classes, fake_shares(config, data))
        draws = uniforms(seed, Stream.G_AUGMENT, start, size, G_DRAWS).float().to(device) if config.augment else None
        batches.append(GBatch(z.to(device), y.to(device), draws))
    return batches


def fake_shares(config: TrainConfig, data: LabelledImages) -> Tensor | None:
    """The part of each class among generated images; None where all classes are alike."""
    return None if config.fake_labels == "balanced" else class_shares(data.class_counts(), config.fake_labels)


def shares(first: int, config: TrainConfig) -> Iterator[tuple[int, int]]:
    """Where this process's part of each micro-batch begins, and its size, in global indices of images."""
    micro = config.microbatch_size or config.batch_size
    size = micro // distributed.world_size()
    for start in range(first, first + config.batch_size, micro):
        yield start + distributed.rank() * size, size


def check_shares(config: TrainConfig) -> None:
    """UserError unless each process gets an equal share of every micro-batch."""
    processes, micro = distributed.world_size(), config.microbatch_size or config.batch_size
    if micro % processes:
        flag = "--microbatch-size" if config.microbatch_size else "--batch-size"
        raise UserError(f"{flag} {micro} does not divide among {processes} processes; it counts the images of all")
