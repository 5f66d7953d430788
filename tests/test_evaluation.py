import json
from pathlib import Path

import pytest
import torch
from conftest import make_folder

from biggan import BigGAN, BigGANConfig
from biggan.data import LabelledImages, open_dataset
from biggan.errors import UserError
from biggan.evaluation import cached_classifier, evaluate
from biggan.metrics import classifier

METRICS = {"fid", "is_mean", "is_std", "precision", "recall", "density", "coverage", "label_accuracy"}


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier, "FEWEST", 5_000)
    monkeypatch.setattr(classifier, "MOST", 5_000)


def test_the_numbers_and_their_protocol(tiny: BigGANConfig, tiny_digits: LabelledImages) -> None:
    model = BigGAN(tiny, tiny_digits.class_names, recipe={"images_seen": 0})
    lines: list[str] = []
    result = evaluate(model, tiny_digits, num=100, report=lines.append)
    assert result["metrics"].keys() == METRICS
    assert all(isinstance(value, float) for value in result["metrics"].values())
    protocol = result["protocol"]
    assert (protocol["num"], protocol["reference_size"], protocol["latent_law"]) == (100, 1797, "normal")
    assert protocol["reference_fingerprint"] == tiny_digits.fingerprint
    assert protocol["statistics"] == "standing, 16 x 64 images of the same law"
    json.dumps(result)
    assert any("training a classifier" in line for line in lines)
    lines.clear()
    assert evaluate(model, tiny_digits, num=100, report=lines.append) == result
    assert not any("training a classifier" in line for line in lines)


def test_real_images_as_a_generator_would_score_perfectly(
    tiny: BigGANConfig, tiny_digits: LabelledImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole path but the generator: images that are the data's own, under their labels."""
    by_class = [torch.from_numpy(tiny_digits.images[tiny_digits.labels == c]) for c in range(10)]

    def replay(model: object, y: torch.Tensor, seeds: object, law: object, batch_size: int) -> object:
        yield torch.stack([by_class[int(c)][i // 10 % len(by_class[int(c)])] for i, c in enumerate(y)])

    monkeypatch.setattr("biggan.evaluation.sample", replay)
    model = BigGAN(tiny, tiny_digits.class_names)
    metrics = evaluate(model, tiny_digits, num=1740)["metrics"]
    assert metrics["precision"] == 1
    assert metrics["recall"] > 0.95
    assert metrics["coverage"] > 0.95
    assert metrics["label_accuracy"] > 0.7          # of a classifier trained for a second
    assert metrics["fid"] < 2


def test_a_damaged_cached_classifier_is_trained_again(tiny_digits: LabelledImages) -> None:
    import os

    first = cached_classifier(tiny_digits, lambda line: None)
    cached = next(Path(os.environ["BIGGAN_CACHE"]).glob("classifiers/*.safetensors"))
    cached.write_bytes(cached.read_bytes()[:100])
    lines: list[str] = []
    again = cached_classifier(tiny_digits, lines.append)
    assert "is damaged" in lines[0]
    assert torch.equal(first.head.weight, again.head.weight)


def test_what_cannot_be_measured_is_named(tiny: BigGANConfig, tiny_digits: LabelledImages, tmp_path: Path) -> None:
    model = BigGAN(tiny, tiny_digits.class_names)
    with pytest.raises(UserError, match="--num 5 is too few to measure; give at least 20"):
        evaluate(model, tiny_digits, num=5)
    other = open_dataset(str(make_folder(tmp_path / "set", {"a": 3, "b": 3})), resolution=8, channels=1)
    with pytest.raises(UserError, match=r"the model has 10 classes and .* has 2"):
        evaluate(model, other, num=100)
    with pytest.raises(UserError, match="was opened at"):
        evaluate(model, open_dataset("digits", resolution=16, channels=1), num=100)
