"""The two optimizer steps: the only code that calls backward.

A step takes its micro-batches as they come, accumulates their mean gradient and makes one optimizer
update. It returns device scalars and waits for nothing.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from biggan.losses import hinge_d_loss, hinge_g_loss
from biggan.state import TrainState


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


def discriminator_step(state: TrainState, batches: Sequence[DBatch], *, bf16: bool = False) -> dict[str, Tensor]:
    """One update of D on real and generated images: the hinge loss, averaged over micro-batches.

    G runs in training mode without gradient, so its batch statistics and singular vectors move, as
    in the reference implementation. Fakes and reals pass through D together: one power iteration.

    Returns d_loss and the mean real_logits and fake_logits over all micro-batches.
    """
    G, D = state.G.train(), state.D.train().requires_grad_(True)
    state.d_optimizer.zero_grad(set_to_none=True)
    seen = []
    for batch in batches:
        with autocast(batch.x.device, bf16):
            with torch.no_grad():
                fake = G(batch.z, batch.fake_y)
            logits = D(torch.cat([fake, batch.x]), torch.cat([batch.fake_y, batch.y]))
        fake_logits, real_logits = logits.split([len(fake), len(batch.x)])
        loss = hinge_d_loss(real_logits, fake_logits)
        (loss / len(batches)).backward()
        seen.append(torch.stack([loss, real_logits.mean(), fake_logits.mean()]).detach())
    state.d_optimizer.step()
    return dict(zip(("d_loss", "real_logits", "fake_logits"), torch.stack(seen).mean(0), strict=True))


def generator_step(state: TrainState, batches: Sequence[GBatch], *, bf16: bool = False) -> dict[str, Tensor]:
    """One update of G: the hinge loss -E[D(G(z, y), y)], averaged over micro-batches.

    Returns g_loss. D's weights get no gradient, its singular vectors move.
    """
    G, D = state.G.train(), state.D.train().requires_grad_(False)
    state.g_optimizer.zero_grad(set_to_none=True)
    seen = []
    for batch in batches:
        with autocast(batch.z.device, bf16):
            fake_logits = D(G(batch.z, batch.y), batch.y)
        loss = hinge_g_loss(fake_logits)
        (loss / len(batches)).backward()
        seen.append(loss.detach())
    state.g_optimizer.step()
    return {"g_loss": torch.stack(seen).mean()}
