import numpy as np
import pytest
import torch
from random_features import features
from test_fid import Identity
from torchmetrics.image.inception import InceptionScore

from biggan.metrics.inception_score import inception_score


@pytest.mark.parametrize(("n", "classes", "splits"), [(1000, 7, 10), (1003, 50, 5), (60, 1008, 1)])
def test_the_formula(n: int, classes: int, splits: int) -> None:
    logits = features(n, classes) * 3
    shuffled = logits.double().numpy()[np.random.RandomState(2020).permutation(n)]
    scores = []
    for k in range(splits):
        part = shuffled[k * n // splits : (k + 1) * n // splits]
        p = np.exp(part) / np.exp(part).sum(1, keepdims=True)
        scores.append(np.exp((p * (np.log(p) - np.log(p.mean(0)))).sum(1).mean()))
    mean, std = inception_score(logits, splits)
    assert mean == pytest.approx(np.mean(scores), rel=1e-6)
    assert std == pytest.approx(np.std(scores), rel=1e-6, abs=1e-12)


def test_torchmetrics_agrees_where_the_order_does_not_matter() -> None:
    logits = features(500, 20) * 2
    metric = InceptionScore(feature=Identity(20), splits=1).set_dtype(torch.float64)
    metric.update(logits.double())
    assert inception_score(logits, 1)[0] == pytest.approx(float(metric.compute()[0]), rel=1e-6)


def test_sure_and_balanced_predictions_score_the_number_of_classes() -> None:
    logits = torch.eye(10)[torch.arange(1000) // 100] * 100         # sorted by class: shuffling must mend that
    assert inception_score(logits)[0] == pytest.approx(10, rel=0.05)
    assert inception_score(logits, 1)[0] == pytest.approx(10)
    assert inception_score(torch.zeros(100, 10))[0] == pytest.approx(1)
