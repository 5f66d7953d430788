import pytest
import torch
from prdc import compute_prdc
from random_features import features

from biggan.metrics.prdc import prdc


@pytest.mark.parametrize(("n", "m", "width"), [(40, 60, 3), (1100, 300, 16), (300, 2100, 64), (150, 150, 512)])
@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_the_oracle_agrees(n: int, m: int, width: int, scale: float) -> None:
    """Precision and recall at k = 3, density and coverage at 5, also far from the origin."""
    real, fake = features(n, width, scale - 1), features(m, width, scale - 0.8, seed=1)
    ours = prdc(real, fake)._asdict()
    three = compute_prdc(real.double().numpy(), fake.double().numpy(), nearest_k=3)
    five = compute_prdc(real.double().numpy(), fake.double().numpy(), nearest_k=5)
    for name, value in ours.items():
        theirs = three if name in ("precision", "recall") else five
        assert value == pytest.approx(float(theirs[name]), rel=1e-6), name


def test_the_extremes_are_known() -> None:
    real = features(200, 8)
    same = prdc(real, real)
    assert (same.precision, same.recall, same.coverage) == (1, 1, 1)
    far = prdc(real, real + 100)
    assert (far.precision, far.recall, far.density, far.coverage) == (0, 0, 0, 0)


def test_halves_of_one_set_are_alike() -> None:
    real = features(4000, 4)
    half = prdc(real[::2], real[1::2])
    assert min(half.precision, half.recall, half.coverage) > 0.9
    assert half.density == pytest.approx(1, abs=0.05)


def test_a_dropped_mode_lowers_recall_and_noise_lowers_precision() -> None:
    modes = torch.cat([features(300, 8, seed=1), features(300, 8, 8.0, seed=2)])
    dropped = prdc(modes, features(600, 8, seed=3))
    whole = prdc(modes, torch.cat([features(300, 8, seed=5), features(300, 8, 8.0, seed=6)]))
    assert dropped.precision == pytest.approx(whole.precision, abs=0.05)
    assert dropped.recall < whole.recall - 0.3
    assert dropped.coverage < 0.6
    noisy = prdc(modes, torch.cat([modes, features(600, 8, seed=4) * 20]))
    assert noisy.precision < 0.6
    assert noisy.recall > 0.9


def test_a_tie_is_outside_in_any_order_and_scale() -> None:
    """On a grid all distances are multiples: the k-th neighbour of a point lies on its ball, with three others."""
    x, y = torch.meshgrid(torch.arange(20.0), torch.arange(20.0), indexing="ij")
    grid = torch.stack([x.flatten(), y.flatten()], dim=1).double() * 0.1 + 7.3
    rotated = grid @ torch.tensor([[0.6, 0.8], [-0.8, 0.6]], dtype=torch.float64)
    shuffled = torch.randperm(400, generator=torch.Generator().manual_seed(0))
    results = {
        prdc(points[order], points[::3][:100]) for points in (grid, rotated) for order in (torch.arange(400), shuffled)
    }
    assert len(results) == 1


def test_copies_of_one_image_have_balls_of_no_size() -> None:
    """Distances of equal points are zero, not the rounding error of a difference of large numbers."""
    real = features(1, 512, 1000.0).repeat(50, 1)
    assert prdc(real, real) == (0, 0, 0, 0)
    assert prdc(torch.cat([real, features(50, 512)]), real).precision == 0
