import dataclasses

import numpy as np
import pytest
import torch

from biggan.config import BigGANConfig, TrainConfig
from biggan.data import LabelledImages
from biggan.state import TrainState, new_state
from biggan.watchdog import (
    HISTORY,
    Signals,
    diagnose,
    inspect_labels,
    new_alarms,
    read_signals,
    remember,
    top_singular_values,
)

CONFIG = TrainConfig()
HEALTHY: Signals = {
    "images_seen": 0.0, "d_loss": 1.5, "g_loss": 0.2, "real_logits": 0.4, "fake_logits": -0.5,
    "real_accuracy": 0.6, "fake_accuracy": 0.7, "saturation": 0.2, "diversity": 0.9, "least_diversity": 0.8,
    "embedding_spread": 1.1, "G.linear.s0": 1.5, "G.linear.s0/s1": 1.2, "D.linear.s0": 2.0, "D.linear.s0/s1": 1.0,
}  # fmt: skip


def history(*changes: dict[str, float], healthy: int = 8) -> list[Signals]:
    """Healthy looks, then a look for each change."""
    looks = [*[{}] * healthy, *changes]
    return [HEALTHY | {"images_seen": 6400.0 * i} | change for i, change in enumerate(looks)]


@pytest.fixture
def state(tiny: BigGANConfig) -> TrainState:
    return new_state(tiny, 0, torch.device("cpu"))


def test_a_healthy_run_raises_no_alarm() -> None:
    assert diagnose([], CONFIG) == []
    assert all(diagnose(history()[:n], CONFIG) == [] for n in range(9))


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"G.linear.s0": 60.0}, "weights", "largest singular value of G.linear grew 40.0 times, from 1.50 to 60.00"),
        ({"D.linear.s0": 60.0}, "weights", "lower --d-lr"),
        ({"fake_logits": 0.4001}, "blind", "D no longer tells real from generated images"),
        ({"real_logits": 90.0}, "logits", "logits exploded: 90.0 on real"),
        ({"saturation": 0.97}, "saturation", "97 % of the generated pixels"),
        ({"diversity": 0.02}, "diversity", "differ only 0.020 times as much as real ones"),
        ({"embedding_spread": 30.0}, "embedding", "30.0 times the median"),
    ],
)
def test_each_sign_of_collapse_is_told_in_words_at_the_second_look(
    change: dict[str, float], kind: str, words: str
) -> None:
    assert diagnose(history(change), CONFIG) == []
    (alarm,) = diagnose(history(change, change), CONFIG)
    assert alarm.kind == kind
    assert words in alarm.text
    assert diagnose(history(change, change, {}), CONFIG) == []


def test_a_strongly_augmented_discriminator_is_unsure_but_not_blind() -> None:
    means = [(0.434, 0.431), (-0.236, -0.244), (-0.026, -0.018), (0.37, 0.368)]        # digits with DiffAugment
    looks = history(*({"real_logits": real, "fake_logits": fake} for real, fake in means))
    assert all(diagnose(looks[:n], CONFIG) == [] for n in range(len(looks) + 1))


def test_numbers_that_are_not_finite_are_told_at_once() -> None:
    (alarm,) = diagnose(history({"g_loss": float("nan"), "fake_logits": 0.4}), CONFIG)
    assert (alarm.kind, alarm.text[:35]) == ("not-finite", "g_loss is nan: training diverged. L")


def test_an_alarm_is_told_once_while_it_lasts() -> None:
    bad = {"diversity": 0.02}
    told = [[a.kind for a in new_alarms(history(*[bad] * n), CONFIG)] for n in range(5)]
    assert told == [[], [], ["diversity"], [], []]


def test_an_untrained_generators_gray_is_no_alarm() -> None:
    assert diagnose(history({"diversity": 0.01}, {"diversity": 0.01}, healthy=0), CONFIG) == []


def test_slow_growth_is_no_alarm_and_thresholds_are_settings() -> None:
    looks = history(*[{"G.linear.s0": 1.5 * 1.3**i} for i in range(20)], healthy=0)
    assert diagnose(looks, CONFIG) == []
    (alarm,) = diagnose(looks, dataclasses.replace(CONFIG, watch_growth=2.0))
    assert alarm.kind == "weights"


@pytest.mark.parametrize("shape", [(40, 90), (90, 40), (5, 3), (1, 8), (24, 3, 3, 3)])
def test_singular_values_are_the_largest(shape: tuple[int, ...]) -> None:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    exact = torch.linalg.svdvals(weight.flatten(1))[:3].tolist()
    ours = top_singular_values(weight)
    assert len(ours) == 3
    assert ours[: len(exact)] == pytest.approx(exact, rel=0.02)
    assert all(np.isnan(top_singular_values(weight * float("nan"))))


def test_a_look_changes_nothing_and_sees_every_weight(state: TrainState, tiny_digits: LabelledImages) -> None:
    before = {key: value.clone() for key, value in state.tensors().items()}
    signals = read_signals(state, tiny_digits, {"d_loss": 1.0})
    assert all(torch.equal(value, state.tensors()[key]) for key, value in before.items())
    assert signals["d_loss"] == 1.0
    assert 1 <= signals["embedding_spread"] < 2
    assert 0 < signals["least_diversity"] <= signals["diversity"]
    count = sum(hasattr(m, "normalized_weight") for n in (state.G, state.D) for m in n.modules())
    assert sum(key.endswith(".s0") for key in signals) == count


def test_diversity_falls_to_nothing_when_a_class_has_one_image(state: TrainState, tiny_digits: LabelledImages) -> None:
    with torch.no_grad():
        state.G.linear.weight.zero_()
        for block in state.G.blocks:
            for norm in (block.bn1, block.bn2):
                norm.gain.weight[:, 6:] = 0         # what z has a say in
                norm.bias.weight[:, 6:] = 0
    state.G.linear.normalized_weight = lambda: state.G.linear.weight        # 0 has no largest singular value
    assert read_signals(state, tiny_digits, {})["diversity"] < 1e-3


def test_only_so_many_looks_are_remembered(state: TrainState) -> None:
    for i in range(HISTORY + 5):
        remember(state, {"images_seen": float(i)})
    assert [look["images_seen"] for look in state.signals] == [float(i) for i in range(5, HISTORY + 5)]


def test_labels_that_are_all_equal_are_told_before_the_first_step(tiny_digits: LabelledImages) -> None:
    assert inspect_labels(tiny_digits) == []
    (alarm,) = inspect_labels(dataclasses.replace(tiny_digits, labels=np.zeros_like(tiny_digits.labels)))
    assert "every one of the 1,797 real images has the label '0'" in alarm.text
