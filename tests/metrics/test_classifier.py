import pytest
import torch

from biggan.metrics import classifier


def test_it_learns_and_is_reproducible(monkeypatch: pytest.MonkeyPatch) -> None:
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
