"""The two optimizer steps: the only code that calls backward.

A step takes its micro-batches as they come, accumulates their mean gradient and makes one optimizer
update. It returns device tensors, one entry a micro-batch, and waits for nothing.

Notable:
- One forward pass of D and one backward pass a micro-batch, whatever is combined: fakes, reals and their
  transformed twins are one batch, and the gradient penalty is part of the loss. So spectral norm takes one
  power iteration, and DistributedDataParallel averages all of it or, before the last micro-batch, nothing.
- Fakes come first in that batch, as in the reference implementation.
- Everything random comes with the batches, from seed, clock and index.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from biggan import distributed, losses
from biggan.augment import DRAWS, augment
from biggan.config import TrainConfig
from biggan.sharding import clip_gradient
from biggan.state import TrainState

DEFAULT = TrainConfig()
Metrics = dict[str, Tensor]
Batch = TypeVar("Batch")

D_DRAWS = 6 * DRAWS         # T(real), T(fake), then the augmentation of fakes, reals, T(real) and T(fake)
G_DRAWS = DRAWS
SATURATED = 0.99            # a pixel beyond +-this is


@dataclass(frozen=True)
class DBatch:
    """One micro-batch of a discriminator step; this process's share of it."""

    x: Tensor                       # real images (B, C, H, W) in [-1, 1]
    y: Tensor                       # their labels (B,)
    z: Tensor                       # latents of the fakes (B, z_dim)
    fake_y: Tensor                  # labels of the fakes (B,)
    draws: Tensor | None = None     # uniform variates of augmentations (B, D_DRAWS), where there are any


@dataclass(frozen=True)
class GBatch:
    """One micro-batch of a generator step; this process's share of it."""

    z: Tensor                       # latents (B, z_dim)
    y: Tensor                       # labels (B,)
    draws: Tensor | None = None     # uniform variates of augmentations (B, G_DRAWS), where there are any


def discriminator_step(
    state: TrainState,
    batches: Sequence[DBatch],          # the micro-batches of one update
    config: TrainConfig = DEFAULT,      # the objective and what is added to it
    *,
    d_step: int = 0,                    # which discriminator step at this clock
    bf16: bool = False,                 # forward passes under bf16 autocast
) -> Metrics:
    """One update of D: the objective and its penalties, averaged over micro-batches.

    G runs in training mode without gradient, so its batch statistics and singular vectors move, as
    in the reference implementation.
    """
    G, D = state.G.train(), state.D.train().requires_grad_(True)
    state.hold_frozen()
    penalize = r1_is_due(config, state.images_seen, d_step)
    state.d_optimizer.zero_grad(set_to_none=True)
    seen: list[Metrics] = []
    for last, batch in marked(batches):
        with distributed.synchronise(state.parallel_D, last), precision(state.device, bf16, penalize):
            with torch.no_grad():
                fake = G(batch.z, batch.fake_y)
            loss, metrics = discriminator_loss(state, batch, fake, config, penalize)
            (loss / len(batches)).backward()
        seen.append(metrics)
    metrics = stacked(seen)
    if config.d_ortho:
        losses.orthogonal_regularization(D, config.d_ortho, config.ortho)
    metrics |= finish(D, state.d_optimizer, config.d_clip, "d_grad_norm")
    if config.lecam:
        update_lecam(state, metrics, config)
    return metrics


def generator_step(
    state: TrainState, batches: Sequence[GBatch], config: TrainConfig = DEFAULT, *, bf16: bool = False
) -> Metrics:
    """One update of G, averaged over micro-batches. D's weights get no gradient, its singular vectors move."""
    G, D = state.G.train(), state.D.train().requires_grad_(False)
    objective = losses.objective(config.objective, config.hinge_margin, config.label_smoothing)
    state.g_optimizer.zero_grad(set_to_none=True)
    seen: list[Metrics] = []
    for last, batch in marked(batches):
        with distributed.synchronise(state.parallel_G, last), precision(state.device, bf16):
            fake = state.parallel_G(batch.z, batch.y)
            shown = augment(fake, batch.draws, config.augment) if batch.draws is not None else fake
            fake_logits = D(shown, batch.y)
            per_image = objective.generator(fake_logits)                        # (B,)
            loss = chosen_mean(per_image, fake_logits, config, state.images_seen)
            (loss / len(batches)).backward()
        seen.append({"g_loss": loss, "saturation": (fake.abs() > SATURATED).float().mean()})
    if config.g_ortho:
        tables = state.config.conditioning == "per_class"
        losses.orthogonal_regularization(G, config.g_ortho, config.ortho, tables)
    return stacked(seen) | finish(G, state.g_optimizer, config.g_clip, "g_grad_norm")


# ---- the parts -------------------------------------------------------------------------------------


def discriminator_loss(
    state: TrainState, batch: DBatch, fake: Tensor, config: TrainConfig, penalize: bool
) -> tuple[Tensor, Metrics]:
    """The scalar to differentiate and the numbers to report of one micro-batch.

    The gradient penalty is of the image as it comes from the data, through its augmentation.
    """
    x = batch.x.detach().requires_grad_(penalize)
    images, labels = what_d_sees(x, fake, batch, config)
    logits = state.parallel_D(torch.cat(images), torch.cat(labels)).split(len(x))
    fake_logits, real_logits = logits[:2]
    objective = losses.objective(config.objective, config.hinge_margin, config.label_smoothing)
    real_loss, fake_loss = objective.real(real_logits).mean(), objective.fake(fake_logits).mean()
    metrics = {
        "d_loss": real_loss + fake_loss,
        "d_loss_real": real_loss,
        "d_loss_fake": fake_loss,
        "real_logits": real_logits.mean(),
        "fake_logits": fake_logits.mean(),
        "real_accuracy": (real_logits > 0).float().mean(),      # part of the reals that D takes for real
        "fake_accuracy": (fake_logits < 0).float().mean(),      # part of the fakes that D finds out
    }
    loss, twins = metrics["d_loss"], list(logits[2:])
    if config.consistency_real:
        metrics["cr"] = losses.consistency_penalty(real_logits, twins.pop(0))
        loss = loss + config.consistency_real * metrics["cr"]
    if config.consistency_fake:
        metrics["bcr"] = losses.consistency_penalty(fake_logits, twins.pop(0))
        loss = loss + config.consistency_fake * metrics["bcr"]
    if config.lecam and state.images_seen >= config.lecam_images:
        metrics["lecam"] = losses.lecam_penalty(real_logits, fake_logits, state.lecam)
        loss = loss + config.lecam * metrics["lecam"]
    if penalize:
        metrics["r1"] = losses.r1_penalty(real_logits, x)
        loss = loss + config.r1 / 2 * config.r1_every * metrics["r1"]
    return loss, metrics


def what_d_sees(
    x: Tensor, fake: Tensor, batch: DBatch, config: TrainConfig
) -> tuple[list[Tensor], list[Tensor]]:
    """Fakes, reals and the transformed twins of consistency regularization, all augmented; their labels."""
    images, labels = [fake, x], [batch.fake_y, batch.y]
    if batch.draws is None:
        return images, labels
    draws = batch.draws.unflatten(1, (-1, DRAWS)).unbind(1)                     # six of (B, DRAWS)
    if config.consistency_real:
        images, labels = [*images, augment(x, draws[0], config.consistency_augment)], [*labels, batch.y]
    if config.consistency_fake:
        images, labels = [*images, augment(fake, draws[1], config.consistency_augment)], [*labels, batch.fake_y]
    return [augment(some, draws[2 + k], config.augment) for k, some in enumerate(images)], labels


def chosen_mean(per_image: Tensor, logits: Tensor, config: TrainConfig, images_seen: int) -> Tensor:
    """The mean of G's losses over the fakes that it learns from, which may lie in other processes."""
    if config.top_k == 1:
        return per_image.mean()
    everywhere = distributed.gather(logits)
    count = losses.top_k_count(images_seen, len(everywhere), config.top_k, config.top_k_images)
    weights = losses.best(logits.detach(), everywhere, count)
    return (per_image * weights).sum() * distributed.world_size()       # averaged over processes: their sum


def r1_is_due(config: TrainConfig, images_seen: int, d_step: int) -> bool:
    """Whether this discriminator step is one of those with a gradient penalty."""
    return config.r1 > 0 and (images_seen // config.batch_size * config.d_steps + d_step) % config.r1_every == 0


def update_lecam(state: TrainState, metrics: Metrics, config: TrainConfig) -> None:
    """Move LeCam's averages of real and fake logits; until LeCam begins they are the last step's."""
    now = distributed.mean(torch.stack([metrics["real_logits"].mean(), metrics["fake_logits"].mean()]))
    decay = config.lecam_decay if state.images_seen >= config.lecam_images else 0.0
    state.lecam.lerp_(now.to(state.lecam.dtype), 1 - decay)


def finish(network: nn.Module, optimizer: torch.optim.Optimizer, clip: float, name: str) -> Metrics:
    """Clip the gradient, where that is asked for, and take the optimizer step."""
    metrics = {}
    if clip:
        metrics[name] = clip_gradient(network, clip).reshape(1)
    optimizer.step()
    return metrics


@contextlib.contextmanager
def precision(device: torch.device, bf16: bool, twice: bool = False) -> Iterator[None]:
    """bf16 autocast, or nothing; where the loss holds a gradient, full precision and differentiable kernels.

    The fused attention kernels have no second derivative.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.autocast(device.type, torch.bfloat16, enabled=bf16 and not twice))
        if twice:
            stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        yield


def marked(batches: Sequence[Batch]) -> Iterator[tuple[bool, Batch]]:
    """Each micro-batch with whether it is the last, in whose backward pass gradients are averaged."""
    for k, batch in enumerate(batches, start=1):
        yield k == len(batches), batch


def stacked(seen: Sequence[Metrics]) -> Metrics:
    """One tensor a name, with an entry a micro-batch."""
    return {name: torch.stack([metrics[name].detach() for metrics in seen]) for name in seen[0]}
