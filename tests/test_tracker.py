"""The log, and those who listen to it."""

import dataclasses
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from conftest import Watcher
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from biggan.config import BigGANConfig, TrainConfig
from biggan.data import LabelledImages
from biggan.errors import UserError
from biggan.tracker import Tracker, WandB, open_sinks, read_lines
from biggan.training import train


def test_a_resumed_log_forgets_what_lies_after_its_clock(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    tracker = Tracker(path, 0)
    for clock in (8, 16, 24):
        tracker.log(images_seen=clock, d_loss=clock / 8)
    with path.open("a") as handle:
        handle.write('{"images_seen": 32, "d_lo')         # cut short by a kill
    Tracker(path, 16).log(images_seen=20, note="text")
    assert read_lines(path) == [
        {"images_seen": 8, "d_loss": 1.0}, {"images_seen": 16, "d_loss": 2.0}, {"images_seen": 20, "note": "text"},
    ]  # fmt: skip


def test_tensorboard_reads_what_a_resumed_run_logged(
    tmp_path: Path, tiny: BigGANConfig, tiny_train: TrainConfig, tiny_digits: LabelledImages
) -> None:
    size = tiny_train.batch_size
    config = dataclasses.replace(tiny_train, track=("tensorboard",), log_every=size, images=2 * size)
    train(tiny, config, tiny_digits, tmp_path, Watcher())
    train(tiny, dataclasses.replace(config, images=4 * size), tiny_digits, tmp_path, Watcher())
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    logged = {line["images_seen"]: line["d_loss"] for line in read_lines(tmp_path / "log.jsonl")}
    assert {event.step: pytest.approx(event.value, rel=1e-5) for event in events.Scalars("d_loss")} == logged
    assert len(logged) == 4


def test_weights_and_biases_gets_numbers_and_the_same_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []
    run = types.SimpleNamespace(log=lambda numbers, step: calls.append((step, numbers)))
    module = types.SimpleNamespace(init=lambda **given: calls.append(given) or run)
    monkeypatch.setitem(sys.modules, "wandb", module)
    for _ in range(2):
        (sink,) = open_sinks(["wandb"], tmp_path, 8)
        assert isinstance(sink, WandB)
    Tracker(tmp_path / "log.jsonl", 0, [sink]).log(images_seen=16, d_loss=1.5, diagnosis="text")
    first, second, logged = calls
    assert first["id"] == second["id"]
    assert first["resume"] == "allow"
    assert logged == (16, {"d_loss": 1.5})


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_package_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: Any) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match=rf"--track {name} needs {name}: pip install"):
        open_sinks([name], tmp_path, 0)
