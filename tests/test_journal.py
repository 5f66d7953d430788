"""What --watch does, what is kept, and what a checkpoint is evaluated for."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Watcher
from safetensors.torch import load_file

import biggan.training
from biggan import BigGAN
from biggan.checkpoint import checkpoint_files, clock_of, load_newest, saved_metrics
from biggan.config import BigGANConfig, TrainConfig
from biggan.data import LabelledImages
from biggan.errors import UserError
from biggan.journal import changed
from biggan.state import new_state
from biggan.training import train


@pytest.fixture
def watched(tiny_train: TrainConfig) -> TrainConfig:
    """Looks at every step; a checkpoint every second one."""
    return dataclasses.replace(tiny_train, images=400, watch_every=8, checkpoint_every=16, preview_every=0)


def explode_at(monkeypatch: pytest.MonkeyPatch, clock: int, factor: float = 100.0) -> None:
    """Make G's first weight explode once, at a clock, unless the learning rate is lower by then."""
    iterate = biggan.training.iterate

    def sabotaged(state: Any, config: TrainConfig, data: LabelledImages) -> Any:
        metrics = iterate(state, config, data)
        if state.images_seen == clock and state.g_optimizer.param_groups[0]["lr"] > 1e-4:
            with torch.no_grad():
                state.G.linear.weight.mul_(factor)
        return metrics

    monkeypatch.setattr(biggan.training, "iterate", sabotaged)


def log(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def test_warn_tells_once_and_goes_on(
    tmp_path: Path, tiny: BigGANConfig, watched: TrainConfig, tiny_digits: LabelledImages, watcher: Watcher,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    explode_at(monkeypatch, 80)
    assert train(tiny, dataclasses.replace(watched, images=160), tiny_digits, tmp_path, watcher)
    told = [line for line in watcher.lines if "largest singular value of G.linear" in line]
    assert len(told) == 1
    assert "watchdog, at 88 images" in told[0]
    (line,) = [line for line in log(tmp_path) if line.get("alarm") == "weights"]
    assert line["images_seen"] == 88
    assert "explodes" in line["diagnosis"]


def test_stop_ends_with_the_diagnosis_and_names_what_is_kept(
    tmp_path: Path, tiny: BigGANConfig, watched: TrainConfig, tiny_digits: LabelledImages,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    explode_at(monkeypatch, 80)
    config = dataclasses.replace(watched, watch="stop")
    with pytest.raises(UserError, match=r"at 88 images the largest singular value .* the last checkpoint is .*0080"):
        train(tiny, config, tiny_digits, tmp_path, Watcher())


def test_rollback_without_changes_ends_with_the_weights_from_before(
    tmp_path: Path, tiny: BigGANConfig, watched: TrainConfig, tiny_digits: LabelledImages,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    config = dataclasses.replace(watched, watch="rollback", rollback_images=24)
    train(tiny, dataclasses.replace(config, images=64), tiny_digits, tmp_path / "healthy", Watcher())
    healthy = load_file(checkpoint_files(tmp_path / "healthy")[-1])
    explode_at(monkeypatch, 80)
    run = tmp_path / "run"
    with pytest.raises(UserError, match=r"explodes.*Went back from 88 to 64 images\. The run ends"):
        train(tiny, config, tiny_digits, run, Watcher())
    assert clock_of(checkpoint_files(run)[-1]) == 64
    saved = load_file(checkpoint_files(run)[-1])
    assert all(torch.equal(value, saved[key]) for key, value in healthy.items())
    model = BigGAN.from_pretrained(run)
    assert model.recipe["images_seen"] == 64
    assert torch.equal(model.G.linear.weight, healthy["G_ema.linear.weight"])
    assert log(run)[-1]["rolled_back_from"] == 88


def test_a_young_run_goes_back_to_before_its_middle(
    tmp_path: Path, tiny: BigGANConfig, watched: TrainConfig, tiny_digits: LabelledImages,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    explode_at(monkeypatch, 80)
    config = dataclasses.replace(watched, watch="rollback", watch_every=16)         # ten looks are 160 images
    with pytest.raises(UserError, match=r"Went back from 96 to 48 images\. The run ends"):
        train(tiny, config, tiny_digits, tmp_path, Watcher())
    assert clock_of(checkpoint_files(tmp_path)[-1]) == 48


def test_rollback_goes_on_with_the_users_changes_also_after_a_resume(
    tmp_path: Path, tiny: BigGANConfig, watched: TrainConfig, tiny_digits: LabelledImages, watcher: Watcher,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    explode_at(monkeypatch, 80)
    config = dataclasses.replace(
        watched, watch="rollback", rollback_images=24, images=120,
        rollback_changes=("g_lr=1e-5", "augment=color,cutout"),
    )  # fmt: skip
    assert train(tiny, config, tiny_digits, tmp_path, watcher)
    assert watcher.clock == [*range(8, 88, 8), *range(72, 128, 8)]
    assert any("changes: g_lr=1e-5 augment=color,cutout" in line for line in watcher.lines)
    state = new_state(tiny, 0, torch.device("cpu"))
    load_newest(tmp_path, state, lambda line: None)
    (back,) = state.rollbacks
    assert (back["from"], back["to"], back["kind"]) == (88, 64, "weights")
    seen = []
    iterate = biggan.training.iterate

    def watching(state: Any, config: TrainConfig, data: LabelledImages) -> Any:
        seen.append((state.g_optimizer.param_groups[0]["lr"], config.augment))
        return iterate(state, config, data)

    monkeypatch.setattr(biggan.training, "iterate", watching)
    train(tiny, dataclasses.replace(config, images=128), tiny_digits, tmp_path, Watcher())
    assert seen == [(1e-5, ("color", "cutout"))]


def test_rollback_gives_up_at_its_limit(
    tmp_path: Path, tiny: BigGANConfig, watched: TrainConfig, tiny_digits: LabelledImages,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    explode_at(monkeypatch, 80)
    config = dataclasses.replace(watched, watch="rollback", rollback_images=24, rollback_changes=("lecam=0.1",))
    watcher = Watcher()
    with pytest.raises(UserError, match="The run ends"):
        train(tiny, config, tiny_digits, tmp_path, watcher)
    assert sum("Went back" in line for line in watcher.lines) == 2


def test_numbers_that_are_not_finite_go_back_too(
    tmp_path: Path, tiny: BigGANConfig, watched: TrainConfig, tiny_digits: LabelledImages,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    explode_at(monkeypatch, 40, float("nan"))
    config = dataclasses.replace(watched, watch="rollback", rollback_images=8, rollback_changes=("g_lr=1e-5",))
    assert train(tiny, dataclasses.replace(config, images=96), tiny_digits, tmp_path, Watcher())


def test_changes_are_checked_before_the_run(tiny: BigGANConfig) -> None:
    for changes, line in (
        (("g_lr",), "--rollback-changes g_lr must be of the form field=value"),
        (("batch_size=4",), "unknown field 'batch_size'"),
    ):
        with pytest.raises(UserError, match=line):
            TrainConfig(watch="rollback", rollback_changes=changes)
    with pytest.raises(UserError, match="for --watch rollback"):
        TrainConfig(rollback_changes=("g_lr=1",))
    with pytest.raises(UserError, match="--g-lr 'fast' is not a number"):
        changed(tiny, TrainConfig(watch="rollback", rollback_changes=("g_lr=fast",)))


def test_labels_that_are_all_equal_end_a_run_unless_it_only_warns(
    tmp_path: Path, tiny: BigGANConfig, watched: TrainConfig, tiny_digits: LabelledImages, watcher: Watcher
) -> None:
    same = dataclasses.replace(tiny_digits, labels=np.zeros_like(tiny_digits.labels))
    train(tiny, dataclasses.replace(watched, images=8), same, tmp_path / "warn", watcher)
    assert any("has the label '0'" in line for line in watcher.lines)
    for policy in ("stop", "rollback"):
        with pytest.raises(UserError, match="the labels were read wrongly"):
            train(tiny, dataclasses.replace(watched, watch=policy), same, tmp_path / policy, Watcher())


def test_looking_does_not_change_the_run(
    tmp_path: Path, tiny: BigGANConfig, tiny_train: TrainConfig, tiny_digits: LabelledImages
) -> None:
    weights = []
    for watch, every in (("off", 8), ("warn", 8), ("warn", 24)):
        run = tmp_path / f"{watch}{every}"
        train(tiny, dataclasses.replace(tiny_train, watch=watch, watch_every=every), tiny_digits, run, Watcher())
        weights.append(load_file(checkpoint_files(run)[-1]))
    for others in weights[1:]:
        assert all(torch.equal(value, others[key]) for key, value in weights[0].items())


@pytest.mark.parametrize("buffers", ["copy", "average"])
def test_previews_and_exports_leave_the_average_alone(
    tmp_path: Path, tiny: BigGANConfig, tiny_train: TrainConfig, tiny_digits: LabelledImages, buffers: Any
) -> None:
    weights = []
    for preview in (0, 8):
        config = dataclasses.replace(tiny_train, preview_every=preview, ema_buffers=buffers)
        train(tiny, config, tiny_digits, tmp_path / str(preview), Watcher())
        weights.append(load_file(checkpoint_files(tmp_path / str(preview))[-1]))
    assert all(torch.equal(value, weights[1][key]) for key, value in weights[0].items())


def test_a_checkpoint_is_evaluated_where_asked(
    tmp_path: Path, tiny: BigGANConfig, tiny_train: TrainConfig, tiny_digits: LabelledImages,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("biggan.metrics.classifier.MOST", 2_000)
    config = dataclasses.replace(tiny_train, evaluate_num=150, best_metric="label_accuracy")
    train(tiny, config, tiny_digits, tmp_path, Watcher())
    assert {"fid", "label_accuracy"} <= saved_metrics(checkpoint_files(tmp_path)[-1]).keys()
    lines = [line for line in log(tmp_path) if "fid" in line]
    assert [(line["images_seen"], line["protocol"]) for line in lines] == [(32, "custom"), (64, "custom")]


def test_an_evaluation_has_a_cadence_and_brings_a_checkpoint(
    tmp_path: Path, tiny: BigGANConfig, tiny_train: TrainConfig, tiny_digits: LabelledImages,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("biggan.metrics.classifier.MOST", 2_000)
    config = dataclasses.replace(tiny_train, evaluate_num=150, evaluate_every=24, keep_checkpoints=10)
    train(tiny, config, tiny_digits, tmp_path, Watcher())
    assert [line["images_seen"] for line in log(tmp_path) if "kid" in line] == [24, 48, 64]
    files = checkpoint_files(tmp_path)
    assert [clock_of(path) for path in files] == [24, 32, 48, 64]
    assert [bool(saved_metrics(path)) for path in files] == [True, False, True, True]


def test_a_protocol_that_cannot_be_kept_is_refused_before_the_first_step(
    tmp_path: Path, tiny: BigGANConfig, tiny_train: TrainConfig, tiny_digits: LabelledImages
) -> None:
    for protocol, line in (("fid9k", "unknown protocol 'fid9k'"), ("classifier10k-test", "digits has no test split")):
        config = dataclasses.replace(tiny_train, evaluate_protocol=protocol)
        with pytest.raises(UserError, match=line):
            train(tiny, config, tiny_digits, tmp_path / protocol, Watcher())
        assert not checkpoint_files(tmp_path / protocol)
    with pytest.raises(UserError, match="--evaluate-every says how often"):
        TrainConfig(evaluate_every=10)
