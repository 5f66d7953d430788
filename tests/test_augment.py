import pytest
import torch

from biggan.augment import DRAWS, augment, color, cutout, flip, translation

ALL = ("color", "translation", "cutout", "flip")


def images(count: int = 3, channels: int = 3) -> torch.Tensor:
    g = torch.Generator().manual_seed(0)
    return torch.rand(count, channels, 16, 16, generator=g, dtype=torch.float64) * 2 - 1


def draws(count: int = 3, seed: int = 1) -> torch.Tensor:
    return torch.rand(count, DRAWS, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_colour_is_the_papers_three_operations() -> None:
    x, u = images(), draws()[:, :3]
    for image, (b, s, c), ours in zip(x, u, color(x, u), strict=True):
        bright = image + b - 0.5
        gray = bright.mean(0)
        saturated = torch.stack([(channel - gray) * (s * 2) + gray for channel in bright])
        expected = (saturated - saturated.mean()) * (c + 0.5) + saturated.mean()
        torch.testing.assert_close(ours, expected)


def test_gray_images_keep_their_contrast_under_saturation() -> None:
    x = images(channels=1)
    u = torch.tensor([[0.5, 0.0, 0.5]], dtype=torch.float64).expand(3, 3)
    torch.testing.assert_close(color(x, u), x)


@pytest.mark.parametrize(("u", "v", "down", "right"), [(0.0, 0.999, -2, 2), (0.5, 0.5, 0, 0), (0.79, 0.2, 1, -1)])
def test_translation_moves_by_whole_pixels_and_zeros_move_in(u: float, v: float, down: int, right: int) -> None:
    x = images()
    ours = translation(x, torch.tensor([[u, v]], dtype=torch.float64).expand(3, 2))
    padded = torch.nn.functional.pad(x, (2, 2, 2, 2))
    torch.testing.assert_close(ours, padded[:, :, 2 - down : 18 - down, 2 - right : 18 - right])


def test_cutout_hides_a_rectangle_of_half_the_side() -> None:
    x = torch.ones(200, 1, 16, 16)
    u = torch.rand(200, 2, generator=torch.Generator().manual_seed(0))
    hidden = (cutout(x, u) == 0)[:, 0]
    for mask, (a, b) in zip(hidden, u, strict=True):
        rows, columns = int(a * 17) - 4, int(b * 17) - 4
        expected = torch.zeros(16, 16, dtype=torch.bool)
        expected[max(rows, 0) : rows + 8, max(columns, 0) : columns + 8] = True
        assert torch.equal(mask, expected)


def test_flip_mirrors_below_a_half() -> None:
    x = images(2)
    out = flip(x, torch.tensor([0.4, 0.6]))
    assert torch.equal(out[0], x[0].flip(2))
    assert torch.equal(out[1], x[1])


@pytest.mark.parametrize("name", ALL)
def test_each_image_depends_on_its_own_draws_only(name: str) -> None:
    x, u = images(6), draws(6)
    whole = augment(x, u, (name,))
    parts = torch.cat([augment(x[i : i + 2], u[i : i + 2], (name,)) for i in (0, 2, 4)])
    assert torch.equal(whole, parts)
    assert augment(x, u, ()) is x


def test_augmentation_is_differentiable_twice() -> None:
    x, u = images().requires_grad_(), draws()
    assert torch.autograd.gradcheck(lambda x: augment(x, u, ALL), x)
    (gradient,) = torch.autograd.grad(augment(x, u, ALL).pow(3).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(gradient.square().sum(), x)
    assert second.abs().sum() > 0
