import pytest
import torch
import torch.nn.functional as F
from torch import nn

from biggan.networks.init import initialize
from biggan.networks.layers import (
    AffineBatchNorm2d,
    BatchNorm2d,
    ConditionalBatchNorm2d,
    SelfAttention2d,
    SpectralConv2d,
    SpectralEmbedding,
    SpectralLinear,
    SpectralOptions,
    channels_last,
)

SN = SpectralOptions()
LAYERS = [
    SpectralConv2d(3, 5, 3, sn=SN),
    SpectralLinear(7, 4, sn=SN),
    SpectralEmbedding(6, 3, sn=SN),
]


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
def test_power_iterations_reach_the_largest_singular_value(layer: nn.Module) -> None:
    initialize(layer, "normal")
    layer.train()
    for _ in range(200):
        weight = layer.normalized_weight().detach()
    assert float(torch.linalg.matrix_norm(weight.flatten(1), ord=2)) == pytest.approx(1, abs=1e-4)


def test_one_power_iteration_a_training_forward_and_none_kept_in_evaluation() -> None:
    layer = SpectralLinear(7, 4, bias=False, sn=SN).double()
    u = layer.u.clone()
    W = layer.weight.detach()
    v = F.normalize(W.T @ u, dim=0)
    after = F.normalize(W @ v, dim=0)
    x = torch.randn(2, 7, dtype=torch.float64)
    expected = x @ (W / (after @ W @ v)).T
    torch.testing.assert_close(layer.eval()(x), expected)
    assert torch.equal(layer.u, u)
    torch.testing.assert_close(layer.train()(x), expected)
    torch.testing.assert_close(layer.u, after)


def test_sigma_is_differentiated_through_the_weight_only() -> None:
    layer = SpectralLinear(5, 3, bias=False, sn=SN).double().eval()
    W = layer.weight
    v = F.normalize(W.detach().T @ layer.u, dim=0)
    u = F.normalize(W.detach() @ v, dim=0)
    direction = torch.randn_like(W)
    (ours,) = torch.autograd.grad((layer.normalized_weight() * direction).sum(), W)
    sigma = u @ W.detach() @ v
    # d(W/s) = dW/s - W (u dW v)/s^2
    expected = direction / sigma - torch.outer(u, v) * (W.detach() * direction).sum() / sigma**2
    torch.testing.assert_close(ours, expected)


def test_sigma_keeps_its_precision_under_autocast() -> None:
    layer = SpectralLinear(64, 64, bias=False, sn=SN).eval()
    plain = layer.normalized_weight()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer.normalized_weight(), plain)


def test_orthogonal_init_reaches_the_normalised_weight() -> None:
    layer = SpectralConv2d(8, 4, 3, sn=SN)
    initialize(layer, "ortho")
    W = layer.eval().normalized_weight().flatten(1)
    torch.testing.assert_close(W @ W.T, torch.eye(4), atol=1e-4, rtol=0)


def test_conditional_gain_is_centred_on_one() -> None:
    bn = ConditionalBatchNorm2d(4, 6, bn_eps=1e-5, sn=SN).train()
    x, c = torch.randn(8, 4, 5, 5), torch.randn(8, 6)
    plain = F.batch_norm(x, None, None, training=True)
    torch.testing.assert_close(bn(x, torch.zeros(8, 6)), plain)
    bn.eval()
    gain, bias = 1 + bn.gain(c), bn.bias(c)
    bn.train()
    bn.gain.eval(), bn.bias.eval()
    torch.testing.assert_close(bn(x, c), plain * gain[:, :, None, None] + bias[:, :, None, None])


def test_batch_norm_is_pytorchs() -> None:
    ours, theirs = AffineBatchNorm2d(3, eps=1e-4), nn.BatchNorm2d(3, eps=1e-4)
    for _ in range(3):
        x = torch.randn(4, 3, 5, 5) * 2 + 1
        torch.testing.assert_close(ours.train()(x), theirs.train()(x))
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.running_var, theirs.running_var)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))


def test_without_momentum_the_statistics_are_the_plain_average() -> None:
    bn = BatchNorm2d(3, eps=1e-5).train()
    bn.momentum = None
    bn.reset_statistics()
    batches = [torch.randn(4, 3, 5, 5) * (i + 1) + i for i in range(4)]
    for x in batches:
        bn.normalize_affine(x, torch.ones(3), torch.zeros(3))
    torch.testing.assert_close(bn.running_mean, torch.stack([x.mean((0, 2, 3)) for x in batches]).mean(0))
    torch.testing.assert_close(bn.running_var, torch.stack([x.var((0, 2, 3)) for x in batches]).mean(0))


def test_attention_is_the_formula_and_starts_as_the_identity() -> None:
    attention = SelfAttention2d(16, sn=SN).double().eval()
    x = torch.randn(2, 16, 4, 6, dtype=torch.float64)
    assert torch.equal(attention(x), x)
    attention.gamma.data.fill_(0.7)
    theta = attention.theta(x).flatten(2)                                       # (B, C/8, HW)
    phi = F.max_pool2d(attention.phi(x), 2).flatten(2)                          # (B, C/8, HW/4)
    g = F.max_pool2d(attention.g(x), 2).flatten(2)                              # (B, C/2, HW/4)
    beta = torch.softmax(theta.transpose(1, 2) @ phi, dim=-1)                   # (B, HW, HW/4)
    o = attention.o((g @ beta.transpose(1, 2)).view(2, 8, 4, 6))
    torch.testing.assert_close(attention(x), 0.7 * o + x)


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_last_says_so_also_with_one_channel(channels: int) -> None:
    x = torch.randn(2, channels, 4, 6)
    y = channels_last(x)
    assert torch.equal(x, y)
    assert y.stride() == (24 * channels, 1, 6 * channels, channels)
