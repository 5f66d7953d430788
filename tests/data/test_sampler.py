import dataclasses

import numpy as np
import pytest
import scipy.stats
import torch

from biggan.config import BigGANConfig, TrainConfig
from biggan.data import LabelledImages, class_shares, real_indices
from biggan.data.sampler import LabelLaw
from biggan.feed import discriminator_batches, generator_batches
from biggan.latents import Stream, labels
from biggan.state import new_state

LAWS: list[LabelLaw] = ["natural", "balanced", "sqrt"]
COUNTS = (400, 16, 0, 100)
EXPECTED = {"natural": [400 / 516, 16 / 516, 0, 100 / 516], "balanced": [1 / 3, 1 / 3, 0, 1 / 3],
            "sqrt": [20 / 34, 4 / 34, 0, 10 / 34]}  # fmt: skip


@pytest.fixture
def uneven() -> LabelledImages:
    """Three classes of very different sizes and one without images, shuffled."""
    y = np.random.default_rng(0).permutation(np.repeat(np.arange(4), COUNTS))
    images = np.broadcast_to((np.arange(516) % 256).astype(np.uint8)[:, None, None, None], (516, 1, 8, 8))
    return LabelledImages(images, y, ("a", "b", "c", "d"), "uneven", "uneven")


@pytest.mark.parametrize("law", LAWS)
def test_classes_come_as_the_law_says(uneven: LabelledImages, law: LabelLaw) -> None:
    assert class_shares(uneven.class_counts(), law).tolist() == pytest.approx(EXPECTED[law])
    count = 516 * 20
    seen = np.bincount(uneven.labels[real_indices(5, 0, count, uneven, law)], minlength=4)
    expected = np.array(EXPECTED[law]) * count
    assert seen[2] == 0
    if law == "natural":
        assert seen.tolist() == [20 * n for n in COUNTS]        # exactly, each epoch
    assert scipy.stats.chisquare(seen[[0, 1, 3]], expected[[0, 1, 3]]).pvalue > 0.01
    fakes = labels(5, Stream.G_LABEL, 0, count, 4, class_shares(uneven.class_counts(), law))
    drawn = np.bincount(fakes.numpy(), minlength=4)
    assert drawn[2] == 0
    assert scipy.stats.chisquare(drawn[[0, 1, 3]], expected[[0, 1, 3]]).pvalue > 0.01


@pytest.mark.parametrize("law", LAWS)
def test_a_place_can_be_entered_anywhere(uneven: LabelledImages, law: LabelLaw) -> None:
    whole = real_indices(3, 0, 600, uneven, law)
    assert np.array_equal(real_indices(3, 510, 40, uneven, law), whole[510:550])
    assert not np.array_equal(real_indices(4, 0, 600, uneven, law), whole)


@pytest.mark.parametrize("law", ["balanced", "sqrt"])
def test_every_image_of_a_class_is_shown_alike(uneven: LabelledImages, law: LabelLaw) -> None:
    rows = real_indices(0, 0, 20_000, uneven, law)
    for label in (0, 1, 3):
        members = uneven.rows_by_class[label]
        assert set(uneven.labels[members]) == {label}
        seen = np.array([np.count_nonzero(rows == row) for row in members])
        assert scipy.stats.chisquare(seen).pvalue > 0.01


def test_the_laws_reach_both_steps_whatever_the_micro_batch(
    tiny: BigGANConfig, tiny_train: TrainConfig, uneven: LabelledImages
) -> None:
    network = dataclasses.replace(tiny, num_classes=4)
    state = new_state(network, 0, torch.device("cpu"))
    state.images_seen = 512
    config = dataclasses.replace(tiny_train, batch_size=256, real_labels="balanced", fake_labels="sqrt")
    small = dataclasses.replace(config, microbatch_size=32)
    (batch,) = discriminator_batches(state, config, uneven, 0)
    (g_batch,) = generator_batches(state, config, uneven)
    parts = discriminator_batches(state, small, uneven, 0)
    assert torch.equal(batch.y, torch.cat([part.y for part in parts]))
    assert torch.equal(batch.x, torch.cat([part.x for part in parts]))
    assert torch.equal(batch.fake_y, torch.cat([part.fake_y for part in parts]))
    assert torch.equal(g_batch.y, torch.cat([part.y for part in generator_batches(state, small, uneven)]))
    assert 60 < int((batch.y == 1).sum()) < 110             # 85 expected
    for fake in (batch.fake_y, g_batch.y):
        assert 15 < int((fake == 1).sum()) < 50             # 30 expected
        assert not bool((fake == 2).any())
