"""The two optimizer steps: the only code that calls backward.

A step takes its micro-batches as they come, accumulates their mean gradient and makes one optimizer
update. It returns device tensors, one entry a micro-batch, and waits for nothing.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from biggan import losses
from biggan.config import TrainConfig
from biggan.state import TrainState

DEFAULT = TrainConfig()
Metrics = dict[str, Tensor]


@dataclass(frozen=True)
class DBatch:
    """One micro-batch of a discriminator step."""

    x: Tensor               # real images (B, C, R, R) in [-1, 1]
    y: Tensor               # their labels (B,)
    z: Tensor               # latents of the fakes (B, z_dim)
    fake_y: Tensor          # labels of the fakes (B,)


@dataclass(frozen=True)
class GBatch:
    """One micro-batch of a generator step."""

    z: Tensor               # latents (B, z_dim)
    y: Tensor               # labels (B,)


def autocast(device: torch.device, bf16: bool) -> contextlib.AbstractContextManager[object]:
    """bf16 autocast, or nothing."""
    return torch.autocast(device.type, torch.bfloat16, enabled=bf16)


def discriminator_step(
    state: TrainState, batches: Sequence[DBatch], config: TrainConfig = DEFAULT, *, bf16: bool = False
) -> Metrics:
    """One update of D on real and generated images: the objective, averaged over micro-batches.

    G runs in training mode without gradient, so its batch statistics and singular vectors move, as
    in the reference implementation. Fakes and reals pass through D together: one power iteration.
    """
    G, D = state.G.train(), state.D.train().requires_grad_(True)
    objective = losses.objective(config.objective, config.hinge_margin, config.label_smoothing)
    state.d_optimizer.zero_grad(set_to_none=True)
    seen: list[Metrics] = []
    for batch in batches:
        with autocast(batch.x.device, bf16):
            with torch.no_grad():
                fake = G(batch.z, batch.fake_y)
            logits = D(torch.cat([fake, batch.x]), torch.cat([batch.fake_y, batch.y]))
        fake_logits, real_logits = logits.split([len(fake), len(batch.x)])
        real_loss, fake_loss = objective.real(real_logits).mean(), objective.fake(fake_logits).mean()
        loss = real_loss + fake_loss
        (loss / len(batches)).backward()
        seen.append(
            {
                "d_loss": loss,
                "d_loss_real": real_loss,
                "d_loss_fake": fake_loss,
                "real_logits": real_logits.mean(),
                "fake_logits": fake_logits.mean(),
            }
        )
    if config.d_ortho:
        losses.orthogonal_regularization(D, config.d_ortho, config.ortho)
    state.d_optimizer.step()
    return stacked(seen)


def generator_step(
    state: TrainState, batches: Sequence[GBatch], config: TrainConfig = DEFAULT, *, bf16: bool = False
) -> Metrics:
    """One update of G, averaged over micro-batches. D's weights get no gradient, its singular vectors move."""
    G, D = state.G.train(), state.D.train().requires_grad_(False)
    objective = losses.objective(config.objective, config.hinge_margin, config.label_smoothing)
    state.g_optimizer.zero_grad(set_to_none=True)
    seen: list[Metrics] = []
    for batch in batches:
        with autocast(batch.z.device, bf16):
            fake_logits = D(G(batch.z, batch.y), batch.y)
        loss = objective.generator(fake_logits).mean()
        (loss / len(batches)).backward()
        seen.append({"g_loss": loss})
    if config.g_ortho:
        losses.orthogonal_regularization(G, config.g_ortho, config.ortho)
    state.g_optimizer.step()
    return stacked(seen)


def stacked(seen: Sequence[Metrics]) -> Metrics:
    """One tensor a name, with an entry a micro-batch."""
    return {name: torch.stack([metrics[name].detach() for metrics in seen]) for name in seen[0]}
