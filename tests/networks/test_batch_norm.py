import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from biggan.networks.batch_norm import batch_norm, moments
from biggan.networks.layers import AffineBatchNorm2d

EPS = 1e-5


def inputs(per_image: bool, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Maps (5, 3, 4, 2) far from mean 0, a gain and a bias."""
    generator = torch.Generator().manual_seed(0)
    shape = (5, 3) if per_image else (3,)
    drawn = [torch.randn(s, dtype=torch.float64, generator=generator) for s in ((5, 3, 4, 2), shape, shape)]
    return [(drawn[0] * 3 + 2).to(dtype), (drawn[1] + 1).to(dtype), drawn[2].to(dtype)]


def textbook(x: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    return F.batch_norm(x, None, None, training=True, eps=EPS) * gain[..., None, None] + bias[..., None, None]


@pytest.mark.parametrize("per_image", [True, False])
def test_value_and_gradient_are_the_textbooks(per_image: bool) -> None:
    ours, theirs = ([t.clone().requires_grad_() for t in inputs(per_image)] for _ in range(2))
    y, mean, var = batch_norm(*ours, EPS, everywhere=False)
    expected = textbook(*theirs)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(mean, ours[0].mean((0, 2, 3)))
    torch.testing.assert_close(var, ours[0].var((0, 2, 3), correction=0))
    weight = torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(1))
    (y * weight).sum().backward()
    (expected * weight).sum().backward()
    for name, a, b in zip(("x", "gain", "bias"), ours, theirs, strict=True):
        torch.testing.assert_close(a.grad, b.grad, msg=lambda text, name=name: f"{name}: {text}")


def test_gradient_by_differences() -> None:
    assert torch.autograd.gradcheck(
        lambda *some: batch_norm(*some, EPS, everywhere=False)[0], [t.requires_grad_() for t in inputs(True)]
    )


def test_in_bf16_it_is_as_near_as_the_textbook() -> None:
    exact = textbook(*inputs(True))
    low = [t.contiguous(memory_format=torch.channels_last) if t.ndim == 4 else t for t in inputs(True, torch.bfloat16)]
    y, mean, _ = batch_norm(*low, EPS, everywhere=False)
    assert (y.dtype, mean.dtype) == (torch.bfloat16, torch.float32)
    assert y.is_contiguous(memory_format=torch.channels_last)
    error, textbooks = ((some.double() - exact).abs().mean() for some in (y, textbook(*low)))
    assert error < 1.5 * textbooks < 0.03


def test_moments_are_of_full_precision_also_of_bf16() -> None:
    x = torch.randn(64, 2, 16, 16, generator=torch.Generator().manual_seed(0)).bfloat16()
    mean, var = moments(x, everywhere=False)
    torch.testing.assert_close(mean, x.float().mean((0, 2, 3)), atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(var, x.float().var((0, 2, 3), correction=0), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("size", [(33, 8, 32, 32), (16, 8, 64, 64), (130, 8, 6, 10)])
def test_moments_of_float32_lose_no_digits_to_long_sums(size: tuple[int, ...]) -> None:
    x = (torch.randn(size, generator=torch.Generator().manual_seed(0)) / 2 + 3).to(memory_format=torch.channels_last)
    mean, var = moments(x, everywhere=False)
    torch.testing.assert_close(mean.double(), x.double().mean((0, 2, 3)), atol=0, rtol=1e-6)
    torch.testing.assert_close(var.double(), x.double().var((0, 2, 3), correction=0), atol=0, rtol=1e-6)


def test_running_statistics_are_pytorchs() -> None:
    x = inputs(True)[0]
    bn = AffineBatchNorm2d(3, eps=EPS).double().train()
    mean, var = torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    for _ in range(2):
        bn(x)
        F.batch_norm(x, mean, var, training=True, momentum=0.1)
    torch.testing.assert_close(bn.running_mean, mean)
    torch.testing.assert_close(bn.running_var, var)
