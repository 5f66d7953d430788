"""What the networks minimise: pure functions of logits, images and weights, real before fake.

Notable:
- An `Objective` is three functions of single logits, so a mean, a choice of the best or a weighting is
  made in one place (`biggan.steps`) and the five objectives are five pairs of equations.
- Orthogonal regularization is a gradient, not a loss: exact, and far cheaper than its graph.

Deliberately absent: WGAN-GP. Brock et al. found Wasserstein losses unstable with it too, and R1 is
here for those who want a gradient penalty.
"""

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from biggan.sharding import like, whole

ObjectiveName = Literal["hinge", "non-saturating", "minimax", "wasserstein", "least-squares"]
OrthoForm = Literal["off-diagonal", "full"]
LogitLoss = Callable[[Tensor], Tensor]


class Objective(NamedTuple):
    """D minimises E[real(D(x, y))] + E[fake(D(G(z, y), y))], G minimises E[generator(D(G(z, y), y))].

    Each maps logits (B,) to losses (B,).
    """

    real: LogitLoss
    fake: LogitLoss
    generator: LogitLoss


def hinge(margin: float = 1.0) -> Objective:
    """max(0, m - D(x)) and max(0, m + D(G(z))); -D(G(z)) (Lim and Ye 2017, eq. 8 and 9, m = 1)."""
    return Objective(
        real=lambda logits: F.relu(margin - logits),
        fake=lambda logits: F.relu(margin + logits),
        generator=lambda logits: -logits,
    )


def non_saturating(smoothing: float = 0.0) -> Objective:
    """-log s(D(x)) and -log(1 - s(D(G(z)))); -log s(D(G(z))), s the sigmoid (Goodfellow et al. 2014, 3).

    One-sided label smoothing gives real images the target 1 - smoothing (Salimans et al. 2016, 3.4):
    -(1 - smoothing) log s(D(x)) - smoothing log(1 - s(D(x))). With -log s(a) = softplus(-a) nothing
    overflows.
    """
    return Objective(
        real=lambda logits: (1 - smoothing) * F.softplus(-logits) + smoothing * F.softplus(logits),
        fake=F.softplus,
        generator=lambda logits: F.softplus(-logits),
    )


def minimax(smoothing: float = 0.0) -> Objective:
    """The same for D; G minimises log(1 - s(D(G(z)))), which saturates (Goodfellow et al. 2014, eq. 1)."""
    return non_saturating(smoothing)._replace(generator=lambda logits: -F.softplus(logits))


def wasserstein() -> Objective:
    """-D(x) and D(G(z)); -D(G(z)) (Arjovsky et al. 2017, eq. 2). Spectral norm bounds D's slope."""
    return Objective(real=lambda logits: -logits, fake=lambda logits: logits, generator=lambda logits: -logits)


def least_squares() -> Objective:
    """(D(x) - 1)^2 / 2 and D(G(z))^2 / 2; (D(G(z)) - 1)^2 / 2 (Mao et al. 2017, eq. 2 and 9)."""
    return Objective(
        real=lambda logits: (logits - 1).square() / 2,
        fake=lambda logits: logits.square() / 2,
        generator=lambda logits: (logits - 1).square() / 2,
    )


def objective(name: ObjectiveName, margin: float = 1.0, smoothing: float = 0.0) -> Objective:
    """The objective of that name; the margin is hinge's, the smoothing that of the two with sigmoids."""
    return {
        "hinge": lambda: hinge(margin),
        "non-saturating": lambda: non_saturating(smoothing),
        "minimax": lambda: minimax(smoothing),
        "wasserstein": wasserstein,
        "least-squares": least_squares,
    }[name]()


def hinge_d_loss(real_logits: Tensor, fake_logits: Tensor, margin: float = 1.0) -> Tensor:
    """E[max(0, m - D(x, y))] + E[max(0, m + D(G(z, y), y))], a scalar: the default objective of D."""
    return hinge(margin).real(real_logits).mean() + hinge(margin).fake(fake_logits).mean()


def hinge_g_loss(fake_logits: Tensor) -> Tensor:
    """-E[D(G(z, y), y)], a scalar: the default objective of G."""
    return hinge().generator(fake_logits).mean()


def best(logits: Tensor, all_logits: Tensor, count: int) -> Tensor:
    """Which of `logits` are among the `count` largest of `all_logits`, as weights whose sum over all is 1.

    Top-k training (Sinha et al. 2020): G learns only from the fakes that D rates best.
    """
    threshold = all_logits.topk(count).values[-1]
    return (logits >= threshold) / (all_logits >= threshold).sum()


def top_k_count(images_seen: int, batch: int, fraction: float, anneal_images: int) -> int:
    """How many of a batch G learns from: all at first, then linearly down to `fraction` of it."""
    progress = min(1.0, images_seen / anneal_images) if anneal_images else 1.0
    return max(1, round(batch * (1 - progress * (1 - fraction))))


# ---- what is added to D's loss ---------------------------------------------------------------------


def r1_penalty(real_logits: Tensor, x: Tensor) -> Tensor:
    """E[||grad_x D(x, y)||^2], a scalar (Mescheder et al. 2018, eq. 9, times 2 / gamma).

    It is differentiable, so that it joins the loss before the one backward pass of a micro-step: a
    backward pass of its own would leave parameters without gradient under DistributedDataParallel.
    """
    (gradient,) = torch.autograd.grad(real_logits.sum(), x, create_graph=True)
    return gradient.flatten(1).square().sum(dim=1).mean()


def lecam_penalty(real_logits: Tensor, fake_logits: Tensor, averages: Tensor) -> Tensor:
    """E[max(0, D(x) - a_F)^2] + E[max(0, a_R - D(G(z)))^2] with the averages (a_R, a_F) of D's logits.

    Tseng et al. 2021, eq. 5, with the rectifier that their code has and the equation does not.
    """
    real_average, fake_average = averages
    return F.relu(real_logits - fake_average).square().mean() + F.relu(real_average - fake_logits).square().mean()


def consistency_penalty(logits: Tensor, transformed_logits: Tensor) -> Tensor:
    """E[(D(x) - D(T(x)))^2] (Zhang et al. 2020, eq. 4; on fakes too it is bCR, Zhao et al. 2021, alg. 1)."""
    return (logits - transformed_logits).square().mean()


# ---- orthogonal regularization ---------------------------------------------------------------------

CLASS_EMBEDDINGS = ("shared_embedding.", "class_projection.")
CLASS_TABLES = (".gain.weight", ".bias.weight")


@torch.no_grad()
def orthogonal_gradient(weight: Tensor, form: OrthoForm = "off-diagonal") -> Tensor:
    """2 ((W W^T) o (1 - I)) W, or 2 (W W^T - I) W in the full form; W is `weight` flattened to (out, -1).

    This is the gradient that the reference implementation adds, times a strength s. The derivative of
    ||W W^T o (1 - I)||_F^2 (Brock et al. 2019, eq. 3) is twice it, so s = 2 beta: the paper's beta of
    1e-4 is a strength of 2e-4, and the reference's "1e-4" is a beta of 5e-5. The full form is
    ||W W^T - I||_F^2's (eq. 2). It acts on the raw weight, which is the one that spectral norm divides.

    (W W^T) W = W (W^T W), so the smaller of the two Gram matrices is made: G's first linear layer has
    24,576 rows of 20 at 128 px. The diagonal of W W^T is the rows' squared norms.
    """
    W = weight.flatten(1)                                                       # (out, in)
    product = (W @ W.T) @ W if len(W) <= W.shape[1] else W @ (W.T @ W)          # (out, in)
    target = W.square().sum(dim=1, keepdim=True) if form == "off-diagonal" else 1.0
    return (2 * (product - target * W)).view_as(weight)


def orthogonal_matrices(network: nn.Module, tables: bool = False) -> Iterator[tuple[nn.Parameter, bool]]:
    """The weights that orthogonal regularization acts on, and whether their transpose is meant.

    These are all with two dimensions or more, but no class embedding. With `tables`, gains and biases of
    batch norms are tables by class, (channels, classes), and their rows are classes, as in the reference.
    """
    for name, parameter in network.named_parameters():
        if parameter.ndim >= 2 and not name.startswith(CLASS_EMBEDDINGS):
            yield parameter, tables and name.endswith(CLASS_TABLES)


@torch.no_grad()
def orthogonal_regularization(
    network: nn.Module, strength: float, form: OrthoForm = "off-diagonal", tables: bool = False
) -> None:
    """Add strength x `orthogonal_gradient` to the gradients of the network's weights."""
    for parameter, transposed in orthogonal_matrices(network, tables):
        if parameter.grad is not None:
            W = whole(parameter)
            gradient = orthogonal_gradient(W.T, form).T if transposed else orthogonal_gradient(W, form)
            parameter.grad.add_(like(gradient, parameter), alpha=strength)
