import numpy as np
import pytest
import torch
from random_features import features
from test_fid import Identity
from torchmetrics.image.kid import KernelInceptionDistance

from biggan.metrics.kid import STUDENT_T, kid, squared_mmd, standard_error


def by_numpy(x: np.ndarray, y: np.ndarray) -> float:
    """The formula, pair by pair: kernels summed over all pairs of different images."""
    width = x.shape[1]

    def mean(a: np.ndarray, b: np.ndarray, same: bool) -> float:
        k = (np.einsum("if,jf->ij", a, b) / width + 1) ** 3
        return float(k[~np.eye(len(a), dtype=bool)].mean() if same else k.mean())

    return mean(x, x, True) + mean(y, y, True) - 2 * mean(x, y, False)


@pytest.mark.parametrize(("n", "m", "width"), [(30, 50, 4), (200, 120, 64), (300, 300, 256)])
def test_the_estimate_is_the_formula(n: int, m: int, width: int) -> None:
    real, fake = features(n, width).double(), features(m, width, 0.3, seed=1).double()
    assert squared_mmd(real, fake) == pytest.approx(by_numpy(real.numpy(), fake.numpy()), rel=1e-6)


def test_the_subsets_are_those_of_the_field() -> None:
    """The generator, its seed and the order of draws that torch-fidelity has."""
    real, fake = features(90, 8), features(70, 8, 0.4, seed=1)
    random, expected = np.random.RandomState(2020), []
    for _ in range(100):
        x = fake.double().numpy()[random.choice(70, 40, replace=False)]
        y = real.double().numpy()[random.choice(90, 40, replace=False)]
        expected.append(by_numpy(x, y))
    ours = kid(real, fake, subset_size=40)
    assert ours.kid == pytest.approx(np.mean(expected), rel=1e-6)
    assert ours.kid_std == pytest.approx(np.std(expected), rel=1e-6)


def test_torchmetrics_agrees_where_a_subset_is_everything() -> None:
    real, fake = features(150, 32), features(150, 32, 0.3, seed=1)
    metric = KernelInceptionDistance(feature=Identity(32), subsets=2, subset_size=150).set_dtype(torch.float64)
    metric.update(real.double(), real=True)
    metric.update(fake.double(), real=False)
    assert kid(real, fake).kid == pytest.approx(float(metric.compute()[0]), rel=1e-6)


def test_the_interval_covers_zero_for_one_distribution_and_not_for_two() -> None:
    same = [kid(features(2000, 16, seed=2 * s), features(2000, 16, seed=2 * s + 1), subsets=10) for s in range(10)]
    assert sum(k.kid_low < 0 < k.kid_high for k in same) >= 8
    other = kid(features(2000, 16), features(2000, 16, 0.2, seed=1), subsets=10)
    assert 0 < other.kid_low < other.kid < other.kid_high


def test_the_interval_covers_the_truth() -> None:
    """For N(0, 1) and N(s, 1) in one dimension the kernel's means are polynomials in s."""
    s = 0.5
    # E (xy + 1)^3 = 1 + 3 E x E y + 3 E x^2 E y^2 + E x^3 E y^3, with the moments of each.
    moments = [(1.0, 0.0, 1.0, 0.0), (1.0, s, 1 + s**2, s**3 + 3 * s)]

    def mean(a: tuple[float, ...], b: tuple[float, ...]) -> float:
        return 1 + 3 * a[1] * b[1] + 3 * a[2] * b[2] + a[3] * b[3]

    truth = mean(moments[0], moments[0]) + mean(moments[1], moments[1]) - 2 * mean(*moments)
    found = [
        kid(features(1500, 1, seed=100 + 2 * k), features(1500, 1, s, seed=101 + 2 * k), subsets=8) for k in range(20)
    ]
    assert np.mean([k.kid for k in found]) == pytest.approx(truth, rel=0.1)
    assert sum(k.kid_low < truth < k.kid_high for k in found) >= 17
    errors = [(k.kid_high - k.kid) / STUDENT_T for k in found]
    assert np.mean(errors) == pytest.approx(np.std([k.kid for k in found]), rel=0.5)


def test_the_jackknife_is_what_it_says() -> None:
    """Leaving images out one block at a time, estimated anew each time."""
    x, y = features(60, 5).double(), features(80, 5, 0.3, seed=1).double()
    estimates = []
    for block in range(10):
        a = torch.cat([part for i, part in enumerate(x.tensor_split(10)) if i != block])
        b = torch.cat([part for i, part in enumerate(y.tensor_split(10)) if i != block])
        estimates.append(squared_mmd(a, b))
    expected = np.sqrt(0.9 * np.sum((np.array(estimates) - np.mean(estimates)) ** 2))
    assert standard_error(x, y) == pytest.approx(expected, rel=1e-6)
