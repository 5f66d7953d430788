import math

import numpy as np
import pytest
import scipy.linalg
import torch
from random_features import features
from torch import nn
from torchmetrics.image.fid import FrechetInceptionDistance

from biggan.metrics.fid import Moments, fid, frechet_distance


class Identity(nn.Module):
    """torchmetrics wants an extractor; these are features already."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def by_scipy(real: torch.Tensor, fake: torch.Tensor) -> float:
    a, b = real.double().numpy(), fake.double().numpy()
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(cov_a @ cov_b).real
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a + cov_b - 2 * root))


def by_torchmetrics(real: torch.Tensor, fake: torch.Tensor) -> float:
    metric = FrechetInceptionDistance(feature=Identity(real.shape[1])).set_dtype(torch.float64)
    metric.update(real.double(), real=True)
    metric.update(fake.double(), real=False)
    return float(metric.compute())


# The last two have fewer images than features: their covariance is singular.
@pytest.mark.parametrize(
    ("n", "m", "width"), [(200, 300, 5), (500, 400, 64), (900, 2000, 200), (50, 60, 80), (40, 900, 64)]
)
def test_the_oracles_agree(n: int, m: int, width: int) -> None:
    real, fake = features(n, width), features(m, width, 0.3, seed=1) * 1.5
    ours = fid(real, fake)
    assert ours == pytest.approx(by_torchmetrics(real, fake), rel=1e-6)
    if width < min(n, m):               # scipy's root of a singular matrix is not to be trusted
        assert ours == pytest.approx(by_scipy(real, fake), rel=1e-6)


def test_known_moments_give_the_closed_form() -> None:
    """Diagonal covariances: the sum of (mu_a - mu_b)^2 + (sigma_a - sigma_b)^2."""
    width = 20
    means, sigmas = features(2, width).double(), features(2, width, seed=1).double().abs() + 0.1
    moments = []
    for mean, sigma in zip(means, sigmas, strict=True):
        covariance, count = torch.diag(sigma**2), 1000
        product = covariance * (count - 1) + count * torch.outer(mean, mean)
        moments.append(Moments(count, mean * count, product))
    expected = float(((means[0] - means[1]) ** 2).sum() + ((sigmas[0] - sigmas[1]) ** 2).sum())
    assert frechet_distance(*moments) == pytest.approx(expected, rel=1e-9)


def test_gaussian_samples_come_near_the_closed_form() -> None:
    real, fake = features(20_000, 4), features(20_000, 4, 0.5, seed=1) * 2      # N(0, 1) and N(1, 4)
    assert fid(real, fake) == pytest.approx(4 * (1 + 1), rel=0.03)


def test_a_set_against_itself_is_zero_and_against_its_other_half_small() -> None:
    real = features(4000, 16)
    assert fid(real, real) == pytest.approx(0, abs=1e-9)
    assert fid(features(10, 40), features(10, 40)) == pytest.approx(0, abs=1e-9)    # singular
    assert 0 < fid(real[::2], real[1::2]) < 0.1
    assert fid(real[::2], real[1::2] + 1) > 15


def test_moments_are_those_of_any_batches() -> None:
    x = features(1000, 12, 3.0)
    parts = Moments.empty(12)
    for batch in x.split(7):
        parts.add(batch)
    assert parts.count == 1000
    torch.testing.assert_close(parts.mean, x.double().mean(0), rtol=1e-12, atol=0)
    torch.testing.assert_close(parts.covariance, torch.cov(x.double().T), rtol=1e-9, atol=1e-12)
    assert math.isclose(frechet_distance(parts, Moments.of(x)), 0, abs_tol=1e-9)
