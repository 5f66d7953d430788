"""In real ImageNet features, spoilt images score as a person would say. `benchmarks/evaluation.py` has the numbers."""

import pytest
import torch

from biggan.data import open_dataset
from biggan.metrics.efficientnet import EfficientNetLite0
from biggan.metrics.extractor import ModuleExtractor, extract
from biggan.metrics.kid import kid
from biggan.metrics.prdc import prdc


@pytest.mark.slow
def test_real_images_are_the_floor_and_spoilt_ones_rank_below() -> None:
    data = open_dataset("digits", resolution=16, channels=1)
    images, labels = torch.from_numpy(data.images.copy()), torch.from_numpy(data.labels)
    noise = torch.randn(images[1::4].shape, generator=torch.Generator().manual_seed(0)) * 30
    dropped = torch.nonzero(labels[1::4] < 5).flatten().repeat(2)[: len(labels[1::4])]
    versions = {
        "clean": images[1::4],
        "noisy": (images[1::4] + noise).round().clamp(0, 255).to(torch.uint8),
        "dropped": images[1::4][dropped],
    }
    extractor = ModuleExtractor(EfficientNetLite0())
    real = extract(extractor, images[::4].split(100)).features
    seen = {name: extract(extractor, version.split(100)).features for name, version in versions.items()}
    distance = {name: kid(real, features, subsets=3).kid for name, features in seen.items()}
    near = {name: prdc(real, features) for name, features in seen.items()}
    assert distance["clean"] < min(distance["noisy"], distance["dropped"]) / 3
    assert near["noisy"].precision < near["clean"].precision - 0.1
    assert near["dropped"].recall < near["clean"].recall - 0.1
    assert near["dropped"].precision == pytest.approx(near["clean"].precision, abs=0.1)
