"""Each formula against an independent evaluation of it."""

import math

import pytest
import torch
from torch import nn

from biggan.config import BigGANConfig
from biggan.losses import ObjectiveName, objective, orthogonal_gradient, orthogonal_regularization
from biggan.networks import Discriminator, Generator


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


# Each as its paper writes it, a number at a time: D on reals, D on fakes, G.
FORMULAS = {
    ("hinge", 1.0, 0.0): (lambda r: max(0, 1 - r), lambda f: max(0, 1 + f), lambda f: -f),
    ("hinge", 0.5, 0.0): (lambda r: max(0, 0.5 - r), lambda f: max(0, 0.5 + f), lambda f: -f),
    ("non-saturating", 1.0, 0.0): (
        lambda r: -math.log(sigmoid(r)), lambda f: -math.log(1 - sigmoid(f)), lambda f: -math.log(sigmoid(f)),
    ),
    ("non-saturating", 1.0, 0.1): (
        lambda r: -0.9 * math.log(sigmoid(r)) - 0.1 * math.log(1 - sigmoid(r)),
        lambda f: -math.log(1 - sigmoid(f)), lambda f: -math.log(sigmoid(f)),
    ),
    ("minimax", 1.0, 0.0): (
        lambda r: -math.log(sigmoid(r)), lambda f: -math.log(1 - sigmoid(f)), lambda f: math.log(1 - sigmoid(f)),
    ),
    ("wasserstein", 1.0, 0.0): (lambda r: -r, lambda f: f, lambda f: -f),
    ("least-squares", 1.0, 0.0): (lambda r: (r - 1) ** 2 / 2, lambda f: f**2 / 2, lambda f: (f - 1) ** 2 / 2),
}  # fmt: skip


@pytest.mark.parametrize("case", FORMULAS)
def test_objectives_are_their_papers_formulas(case: tuple[ObjectiveName, float, float]) -> None:
    logits = torch.tensor([-3.0, -1.0, -0.2, 0.0, 0.7, 1.0, 4.0], dtype=torch.float64)
    for ours, formula in zip(objective(*case), FORMULAS[case], strict=True):
        expected = torch.tensor([formula(float(x)) for x in logits], dtype=torch.float64)
        torch.testing.assert_close(ours(logits), expected)


def test_objectives_with_sigmoids_do_not_overflow() -> None:
    logits = torch.tensor([-1e4, 1e4])
    for name in ("non-saturating", "minimax"):
        assert all(bool(torch.isfinite(part(logits)).all()) for part in objective(name, smoothing=0.1))


@pytest.mark.parametrize("shape", [(3, 7), (7, 3), (4, 2, 3, 3), (20, 2, 1, 1)])
def test_the_orthogonal_gradient_is_half_the_derivative_of_the_penalty(shape: tuple[int, ...]) -> None:
    weight = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    W = weight.flatten(1)
    eye = torch.eye(len(W), dtype=torch.float64)
    for form, residual in (("off-diagonal", (W @ W.T) * (1 - eye)), ("full", W @ W.T - eye)):
        (derivative,) = torch.autograd.grad(residual.square().sum(), weight, retain_graph=True)
        torch.testing.assert_close(2 * orthogonal_gradient(weight, form), derivative)


def test_orthogonal_regularization_leaves_class_embeddings_and_vectors_alone(tiny: BigGANConfig) -> None:
    for network in (Generator(tiny), Discriminator(tiny)):
        for parameter in network.parameters():
            nn.init.normal_(parameter)
            parameter.grad = torch.zeros_like(parameter)
        orthogonal_regularization(network, 0.5)
        moved = {name for name, p in network.named_parameters() if p.grad.abs().max() > 1e-3}
        matrices = {name for name, p in network.named_parameters() if p.ndim > 1}
        # A matrix of one row has no off-diagonal entry.
        assert moved == {n for n in matrices if "embedding" not in n and "projection" not in n} - single_rows(network)


def single_rows(network: nn.Module) -> set[str]:
    return {name for name, p in network.named_parameters() if p.ndim > 1 and len(p) == 1}


def test_tables_by_class_are_regularized_by_class(tiny: BigGANConfig) -> None:
    G = Generator(tiny)
    for parameter in G.parameters():
        parameter.grad = torch.zeros_like(parameter)
    orthogonal_regularization(G, 1.0, tables=True)
    table, conv = G.blocks[0].bn1.gain.weight, G.blocks[0].conv1.weight
    torch.testing.assert_close(table.grad, orthogonal_gradient(table.T).T)
    torch.testing.assert_close(conv.grad, orthogonal_gradient(conv))
