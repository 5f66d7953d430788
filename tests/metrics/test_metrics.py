import numpy as np
import pytest
import scipy.linalg
import torch
from prdc import compute_prdc

from biggan.metrics import classifier
from biggan.metrics.fid import fid
from biggan.metrics.inception_score import inception_score
from biggan.metrics.prdc import prdc


def features(n: int, width: int, shift: float = 0.0, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, width, generator=torch.Generator().manual_seed(seed)) + shift


@pytest.mark.parametrize(("n", "m", "width", "k"), [(40, 60, 3, 5), (1100, 300, 16, 3), (300, 2100, 64, 5)])
def test_prdc_is_the_oracles(n: int, m: int, width: int, k: int) -> None:
    real, fake = features(n, width), features(m, width, 0.2, seed=1)
    ours = prdc(real, fake, k)._asdict()
    theirs = compute_prdc(real.double().numpy(), fake.double().numpy(), nearest_k=k)
    for name, value in theirs.items():
        assert ours[name] == pytest.approx(float(value), rel=1e-6), name


def test_prdc_knows_the_extremes() -> None:
    real = features(200, 8)
    same = prdc(real, real)
    assert (same.precision, same.recall, same.coverage) == (1, 1, 1)
    far = prdc(real, real + 100)
    assert (far.precision, far.recall, far.density, far.coverage) == (0, 0, 0, 0)


def test_a_dropped_mode_lowers_recall_and_noise_lowers_precision() -> None:
    modes = torch.cat([features(300, 8, seed=1), features(300, 8, 8.0, seed=2)])
    dropped = prdc(modes, features(600, 8, seed=3))
    assert dropped.precision > 0.8
    assert dropped.recall < 0.6
    noisy = prdc(modes, torch.cat([modes, features(600, 8, seed=4) * 20]))
    assert noisy.precision < 0.6
    assert noisy.recall > 0.9


@pytest.mark.parametrize(("n", "m", "width"), [(200, 300, 5), (500, 400, 64), (50, 60, 40)])
def test_fid_is_the_formula(n: int, m: int, width: int) -> None:
    real, fake = features(n, width), features(m, width, 0.3, seed=1) * 1.5
    a, b = real.double().numpy(), fake.double().numpy()
    root = scipy.linalg.sqrtm(np.cov(a, rowvar=False) @ np.cov(b, rowvar=False)).real
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(
        np.cov(a, rowvar=False) + np.cov(b, rowvar=False) - 2 * root
    )
    assert fid(real, fake) == pytest.approx(expected, rel=1e-6)


def test_fid_of_a_set_against_itself_is_zero() -> None:
    real = features(300, 16)
    assert fid(real, real) == pytest.approx(0, abs=1e-6)


def test_inception_score_is_the_formula() -> None:
    logits = features(1000, 7) * 3
    scores = []
    for part in np.array_split(logits.double().numpy(), 10):
        p = np.exp(part) / np.exp(part).sum(1, keepdims=True)
        scores.append(np.exp((p * (np.log(p) - np.log(p.mean(0)))).sum(1).mean()))
    mean, std = inception_score(logits)
    assert mean == pytest.approx(np.mean(scores), rel=1e-6)
    assert std == pytest.approx(np.std(scores), rel=1e-6)


def test_inception_score_of_sure_and_balanced_predictions_is_the_number_of_classes() -> None:
    logits = torch.eye(10)[torch.arange(1000) % 10] * 100
    assert inception_score(logits)[0] == pytest.approx(10)


def test_the_classifier_learns_and_is_reproducible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier, "MOST", 3000)
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(200) % 2
    images = torch.randint(0, 60, (200, 1, 8, 8), generator=generator)
    images[labels == 1, :, :4] += 150
    images = images.to(torch.uint8)
    before = torch.get_rng_state()
    first = classifier.train_classifier(images, labels, 2, fingerprint="x")
    second = classifier.train_classifier(images, labels, 2, fingerprint="x")
    assert torch.equal(torch.get_rng_state(), before)
    assert first.accuracy == 1
    result = first(images)
    assert result.features.shape == (200, classifier.FEATURES)
    assert torch.equal(result.logits.argmax(1), labels)
    assert torch.equal(result.logits, second(images).logits)
