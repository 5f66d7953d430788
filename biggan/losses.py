"""Adversarial losses: pure functions of logits, real before fake."""

import torch.nn.functional as F
from torch import Tensor


def hinge_d_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """E[max(0, 1 - D(x, y))] + E[max(0, 1 + D(G(z, y), y))], a scalar (Lim and Ye 2017, eq. 8)."""
    return F.relu(1 - real_logits).mean() + F.relu(1 + fake_logits).mean()


def hinge_g_loss(fake_logits: Tensor) -> Tensor:
    """-E[D(G(z, y), y)], a scalar (Lim and Ye 2017, eq. 9)."""
    return -fake_logits.mean()
