import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from biggan.networks import resample


@given(st.integers(1, 2), st.integers(1, 3), st.integers(1, 4), st.integers(1, 6), st.integers(1, 6), st.booleans())
@settings(max_examples=30, deadline=None)
def test_the_fused_forms_are_exact(batch: int, inner: int, outer: int, height: int, width: int, bias: bool) -> None:
    generator = torch.Generator().manual_seed(height * 7 + width)
    weight = torch.randn(outer, inner, 3, 3, dtype=torch.float64, generator=generator)
    b = torch.randn(outer, dtype=torch.float64, generator=generator) if bias else None
    x = torch.randn(batch, inner, height, width, dtype=torch.float64, generator=generator)
    fused, plain = resample.fused_upsample_conv3x3(x, weight, b), resample.plain_upsample_conv3x3(x, weight, b)
    torch.testing.assert_close(fused, plain, rtol=1e-10, atol=1e-12)
    x = torch.randn(batch, inner, 2 * height, 2 * width, dtype=torch.float64, generator=generator)
    fused, plain = resample.fused_conv3x3_downsample(x, weight, b), resample.plain_conv3x3_downsample(x, weight, b)
    torch.testing.assert_close(fused, plain, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["upsample_conv3x3", "conv3x3_downsample"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("low", [1, 5, 6])
def test_gradients_and_their_gradients_agree(name: str, channels: int, low: int) -> None:
    generator = torch.Generator().manual_seed(0)

    def results(function: object) -> list[Tensor]:
        generator.manual_seed(0)
        size = low if name.startswith("up") else 2 * low
        x = torch.randn(2, channels, size, size + 2, dtype=torch.float64, generator=generator, requires_grad=True)
        w = torch.randn(4, channels, 3, 3, dtype=torch.float64, generator=generator, requires_grad=True)
        b = torch.randn(4, dtype=torch.float64, generator=generator, requires_grad=True)
        y = function(x, w, b)  # type: ignore[operator]
        gx, gw, gb = torch.autograd.grad(y.pow(3).sum(), (x, w, b), create_graph=True)
        penalty = gx.pow(2).sum()                                   # as in R1
        return [y, gx, gw, gb, *torch.autograd.grad(penalty, (x, w, b))]

    for fused, plain in zip(
        results(getattr(resample, f"fused_{name}")), results(getattr(resample, f"plain_{name}")), strict=True
    ):
        torch.testing.assert_close(fused, plain, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("dtype", "batch", "chosen"), [(torch.bfloat16, 64, "plain"), (torch.bfloat16, 65, "fused"),
                                                        (torch.float32, 1, "fused")])  # fmt: skip
@pytest.mark.parametrize("name", ["upsample_conv3x3", "conv3x3_downsample"])
def test_small_maps_in_bf16_take_the_textbook_form(
    name: str, dtype: torch.dtype, batch: int, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 8 if name.startswith("up") else 16
    for form in ("plain", "fused"):
        monkeypatch.setattr(resample, f"{form}_{name}", lambda *given, form=form: form)
    assert getattr(resample, name)(torch.zeros(batch, 1, size, size, dtype=dtype), None, None) == chosen


def test_a_1x1_convolution_commutes_with_both_resamplings() -> None:
    conv = torch.nn.Conv2d(3, 5, 1).double()
    x = torch.randn(2, 3, 4, 6, dtype=torch.float64)
    torch.testing.assert_close(conv(resample.upsample(x)), resample.upsample(conv(x)))
    torch.testing.assert_close(conv(resample.downsample(x)), resample.downsample(conv(x)))


def test_downsampling_is_average_pooling_with_both_its_derivatives() -> None:
    x = torch.randn(2, 3, 4, 6, dtype=torch.float64).to(memory_format=torch.channels_last).requires_grad_()
    torch.testing.assert_close(resample.downsample(x), torch.nn.functional.avg_pool2d(x, 2))
    assert torch.autograd.gradcheck(resample.downsample, x)
    assert torch.autograd.gradgradcheck(resample.downsample, x)


@pytest.mark.parametrize("count", [3, 5])
def test_first_channels_are_an_index_with_a_gradient_in_the_same_layout(count: int) -> None:
    x = torch.randn(2, 5, 4, 6).to(memory_format=torch.channels_last).requires_grad_()
    weight = torch.randn(2, count, 4, 6).to(memory_format=torch.channels_last)
    ours, index = resample.first_channels(x, count), x[:, :count]
    assert torch.equal(ours, index)
    (gradient,) = torch.autograd.grad((ours * weight).sum(), x)
    assert torch.equal(gradient, torch.autograd.grad((index * weight).sum(), x)[0])
    assert gradient.is_contiguous(memory_format=torch.channels_last)
