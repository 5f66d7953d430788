import pytest
import torch
from random_features import features
from sklearn.neighbors import NearestNeighbors

from biggan.metrics.nearest import beyond_chance, memorisation, nearest


def test_neighbours_are_scikit_learns() -> None:
    x, y = features(60, 16), features(2500, 16, seed=1)
    found = nearest(x, y)
    distance, row = NearestNeighbors(n_neighbors=1).fit(y.numpy()).kneighbors(x.numpy())
    assert found.row.tolist() == row[:, 0].tolist()
    assert found.distance.tolist() == pytest.approx(distance[:, 0].tolist(), rel=1e-5)


def test_a_generator_of_new_images_is_nearer_to_either_set_in_half_of_the_cases() -> None:
    train, held_out, fake = features(3000, 8), features(1000, 8, seed=1), features(2000, 8, seed=2)
    found = memorisation(fake, train, held_out)
    assert float(found.nearer.double().mean()) == pytest.approx(0.5, abs=0.04)
    assert float(found.copies.double().mean()) == pytest.approx(0.01, abs=0.01)


def test_copies_of_training_images_are_found() -> None:
    train, held_out, new = features(3000, 8), features(1000, 8, seed=1), features(900, 8, seed=2)
    copies = train[:100] + 0.001 * features(100, 8, seed=3)
    found = memorisation(torch.cat([copies, new]), train, held_out)
    assert found.copies[:100].all()
    assert found.train.row[:100].tolist() == list(range(100))
    assert float(found.copies[100:].double().mean()) < 0.03
    exact = memorisation(train[:50], train, held_out)
    assert exact.copies.all()
    assert (exact.train.distance == 0).all()


def test_exact_copies_are_found_also_where_the_held_out_set_has_some() -> None:
    train = features(500, 8)
    held_out = torch.cat([train[:100], features(100, 8, seed=1)])
    found = memorisation(torch.cat([train[200:210], features(50, 8, seed=2)]), train, held_out)
    assert found.threshold == 0
    assert found.copies.tolist() == [True] * 10 + [False] * 50


def test_chance_explains_small_shares_of_few_images() -> None:
    assert not beyond_chance(0.6, 0.5, torch.arange(50))
    assert beyond_chance(0.6, 0.5, torch.arange(1000))
    assert not beyond_chance(0.6, 0.5, torch.arange(1000) // 100)       # ten neighbours only
    assert not beyond_chance(0.4, 0.5, torch.arange(1000))
    assert not beyond_chance(1.0, 0.5, torch.arange(0))


def test_many_images_around_few_real_ones_raise_no_alarm() -> None:
    """Each real image is the nearest of about twenty: as evidence they are one."""
    alarms = 0
    for trial in range(20):
        train, held_out, fake = (features(n, 6, seed=3 * trial + k) for k, n in enumerate((150, 150, 6000)))
        found = memorisation(fake, train, held_out)
        alarms += beyond_chance(float(found.nearer.double().mean()), 0.5, found.winner)
    assert alarms <= 1
